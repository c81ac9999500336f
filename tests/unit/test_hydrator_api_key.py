import traceback
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from receiver.hydrator.api_key import CACHE_SECONDS, REREAD_SECONDS, ApiKey
from receiver.hydrator.errors import ApiKeyError
from tests.unit.fakes import FakeClock, FakeSecretsManager, client_error

OLD = "the-old-api-key-0123456789"
NEW = "the-new-api-key-0123456789"


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.secrets = FakeSecretsManager(self.clock, current=OLD)
        self.key = ApiKey("key", self.secrets, clock=self.clock)

    @property
    def reads(self) -> int:
        return len(self.secrets.reads)

    def pass_by(self, seconds: float) -> None:
        self.clock.now += seconds

    def problem(self) -> str:
        with pytest.raises(ApiKeyError) as caught:
            self.key.value()
        return str(caught.value)


@pytest.fixture
def world() -> World:
    return World()


def test_the_key_is_read_on_first_use_and_kept_for_five_minutes(world: World) -> None:
    assert world.reads == 0
    assert world.key.value() == OLD

    world.secrets.rotate(NEW)
    world.pass_by(CACHE_SECONDS - 1)
    assert (world.key.value(), world.reads) == (OLD, 1)

    world.pass_by(1)
    assert (world.key.value(), world.reads) == (NEW, 2)


def test_a_key_that_was_rotated_is_read_again_as_soon_as_the_old_one_is_refused(
    world: World,
) -> None:
    world.key.value()
    world.secrets.rotate(NEW)
    world.pass_by(REREAD_SECONDS)
    world.key.refused()

    assert (world.key.value(), world.reads) == (NEW, 2)


def test_a_key_that_stays_wrong_is_tried_once_in_five_seconds(world: World) -> None:
    tried = 0
    for _ in range(50):
        world.pass_by(1)
        with suppress(ApiKeyError):
            world.key.value()
            tried += 1
            world.key.refused()

    assert world.problem().startswith("The API refused the key (401). If it is wrong, set it")
    assert tried == world.reads == 10


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (client_error("ResourceNotFoundException"), "ResourceNotFoundException"),
        (EndpointConnectionError(endpoint_url="https://x"), "EndpointConnectionError"),
        (ValueError(NEW), "ValueError"),
    ],
)
def test_a_key_that_cannot_be_read_is_asked_for_once_in_five_seconds(
    world: World, error: Exception, name: str
) -> None:
    world.secrets.error = error
    assert world.problem() == f"The API key can't be read ({name})"

    world.secrets.error = None
    assert name in world.problem()
    assert world.reads == 1

    world.pass_by(REREAD_SECONDS)
    assert world.key.value() == OLD


def test_a_read_that_has_not_ended_counts_as_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that hangs in Secrets Manager is given up with its batch; the next batch asks."""
    seen: list[str] = []

    def hang(_self: Any, **_request: Any) -> dict[str, Any]:
        seen.append(world.problem())
        return {"SecretString": OLD}

    monkeypatch.setattr(FakeSecretsManager, "get_secret_value", hang)

    assert world.key.value() == OLD
    assert seen == ["The API key was not read in time"]


def test_a_success_that_is_not_secrets_managers_own_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_self: Any, **_request: Any) -> dict[str, Any]:
        return {"ResponseMetadata": {"HTTPStatusCode": 200}}

    monkeypatch.setattr(FakeSecretsManager, "get_secret_value", answer)

    assert world.problem() == "The API key can't be read (KeyError)"


def test_a_key_that_cannot_work_is_not_used_and_the_log_says_what_to_do(world: World) -> None:
    world.secrets.rotate(f"{NEW}\n")

    problem = world.problem()

    assert problem.startswith("The API key begins or ends with white space")
    assert problem.endswith("set it with `gpw secret set --for api` (docs/full-profiles.md)")


@pytest.mark.parametrize("value", [f"{NEW}\n", f"{NEW}é", NEW[:15]])
def test_no_traceback_of_a_bad_key_shows_it(world: World, value: str) -> None:
    world.secrets.rotate(value)
    try:
        world.key.value()
    except ApiKeyError as error:
        shown = "".join(traceback.format_exception(error))

    assert NEW[:15] not in shown


def test_what_secrets_manager_says_about_a_failure_is_not_repeated(world: World) -> None:
    error = client_error("AccessDeniedException")
    error.response["Error"]["Message"] = NEW
    world.secrets.error = error
    try:
        world.key.value()
    except ApiKeyError as failure:
        shown = "".join(traceback.format_exception(failure))

    assert NEW not in shown
