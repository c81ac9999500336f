"""Calls the webhook endpoint as GetProfile does."""

import time
from dataclasses import dataclass

import urllib3

from gpw.stack.errors import OperatorError
from gpw.stack.proxies import pool
from gpw.stack.target import Target
from receiver.domain.credential import UnusableCredentialError, usable
from receiver.ingest.authorization import PROBE_AGENT

# The exact texts that GetProfile documents.
OK = "OK"
NO_TOKEN = "Unauthorized: Missing or invalid Authorization header"  # noqa: S105
WRONG_TOKEN = "Unauthorized: Invalid webhook secret"  # noqa: S105

# The name of a 401's header, and what API Gateway may make of it.
CHALLENGES = ("www-authenticate", "x-amzn-remapped-www-authenticate")


@dataclass(frozen=True)
class WebhookResponse:
    """The endpoint's response.

    seconds: until it was complete. challenge: the name under which WWW-Authenticate arrived; empty
    if it did not.
    """

    status: int
    body: str
    seconds: float
    challenge: str = ""


class Webhook:
    """Posts to the endpoint; thread-safe."""

    def __init__(self, url: str, *, connections: int = 1) -> None:
        self._url = url
        self._http = pool(url, timeout=30, retries=False, maxsize=connections)

    def post(
        self,
        body: bytes,
        secret: str | None,
        *,
        content_type: str = "application/json",
        scheme: str = "Bearer",
    ) -> WebhookResponse:
        """Post a body. secret: None for no Authorization header.

        Raises: OperatorError, if there is no response. Its text never contains the secret.
        """
        headers = {"content-type": content_type}
        if secret is not None:
            headers["authorization"] = f"{scheme} {secret}"
        return self._send(body, headers)

    def probe(self) -> WebhookResponse:
        """The response to a request without a secret, marked as ours in the receiver's log.

        Raises: OperatorError, if there is none.
        """
        return self._send(b"{}", {"user-agent": PROBE_AGENT})

    def _send(self, body: bytes, headers: dict[str, str]) -> WebhookResponse:
        began = time.monotonic()
        try:
            answer = self._http.request("POST", self._url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise OperatorError(
                f"{self._url} does not answer ({type(error).__name__})",
                "check the network; `gpw doctor` checks the stack",
            ) from None
        text = answer.data.decode("utf-8", errors="replace")[:2000]
        challenge = next((name for name in CHALLENGES if name in answer.headers), "")
        return WebhookResponse(answer.status, text, time.monotonic() - began, challenge)


def current_secret(target: Target) -> str:
    """The current webhook secret. Raises: OperatorError, if it is unusable."""
    secrets = target.client("secretsmanager")
    answer = secrets.get_secret_value(SecretId=target.output("WebhookSecretArn"))
    try:
        return usable(answer.get("SecretString"))
    except UnusableCredentialError as error:
        raise OperatorError(f"The webhook secret {error.problem}", "gpw secret set") from None
