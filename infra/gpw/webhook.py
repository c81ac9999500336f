"""The webhook endpoint, called as GetProfile calls it."""

import time
from dataclasses import dataclass

import urllib3

from getprofile.credential import UnusableCredentialError, usable
from infra.gpw.errors import OperatorError
from infra.gpw.target import Target

# What GetProfile documents, to the letter.
OK = "OK"
NO_TOKEN = "Unauthorized: Missing or invalid Authorization header"  # noqa: S105  # nosec B105
WRONG_TOKEN = "Unauthorized: Invalid webhook secret"  # noqa: S105  # nosec B105


@dataclass(frozen=True)
class Answer:
    """What the endpoint answered. seconds: until the whole answer was there."""

    status: int
    body: str
    seconds: float


class Webhook:
    """Posts to the endpoint; safe to use from several threads."""

    def __init__(self, url: str, *, connections: int = 1) -> None:
        self._url = url
        self._http = urllib3.PoolManager(timeout=30, retries=False, maxsize=connections)

    def post(
        self,
        body: bytes,
        secret: str | None,
        *,
        content_type: str = "application/json",
        scheme: str = "Bearer",
    ) -> Answer:
        """Raises: OperatorError, when nobody answers. Its text never holds the secret.

        secret: None for no Authorization header.
        """
        headers = {"content-type": content_type}
        if secret is not None:
            headers["authorization"] = f"{scheme} {secret}"
        began = time.monotonic()
        try:
            answer = self._http.request("POST", self._url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise OperatorError(
                f"{self._url} does not answer ({type(error).__name__})",
                "check the network; `gpw doctor` checks the stack",
            ) from None
        text = answer.data.decode("utf-8", errors="replace")[:2000]
        return Answer(answer.status, text, time.monotonic() - began)


def current_secret(target: Target) -> str:
    """The webhook secret, for a request. Raises: OperatorError, when it can't be one."""
    secrets = target.client("secretsmanager")
    answer = secrets.get_secret_value(SecretId=target.output("WebhookSecretArn"))
    try:
        return usable(answer.get("SecretString"))
    except UnusableCredentialError as error:
        raise OperatorError(f"The webhook secret {error.problem}", "gpw secret set") from None
