import traceback
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from hydrator.api_key import CACHE_SECONDS, REREAD_SECONDS, ApiKey, usable
from hydrator.errors import ApiKeyError
from tests.unit.fakes import FakeClock, FakeSecretsManager, client_error

OLD = "the-old-api-key-0123456789"
NEW = "the-new-api-key-0123456789"


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.secrets = FakeSecretsManager(self.clock, current=OLD)
        self.key = ApiKey("key", client=self.secrets.as_client(), clock=self.clock)

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


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_replaced_by_the_one_it_was_rotated_to(world: World, status: int) -> None:
    world.key.value()
    world.secrets.rotate(NEW)
    world.pass_by(REREAD_SECONDS)

    assert world.key.renewed(OLD, status) == NEW
    assert (world.key.value(), world.reads) == (NEW, 2)


def test_another_thread_that_was_refused_the_old_key_takes_the_new_one_without_a_read(
    world: World,
) -> None:
    world.key.value()
    world.secrets.rotate(NEW)
    world.pass_by(REREAD_SECONDS)
    world.key.renewed(OLD, 401)

    assert world.key.renewed(OLD, 401) == NEW
    assert world.reads == 2


def test_a_key_that_the_api_does_not_know_is_left_alone_for_ten_seconds(world: World) -> None:
    world.key.value()
    with pytest.raises(ApiKeyError) as caught:
        world.key.renewed(OLD, 401)

    assert str(caught.value) == (
        "The API refused the key (401): if it is wrong, set it again in Secrets Manager"
        " (README, 'Full profiles')"
    )
    for _ in range(100):
        assert world.problem() == str(caught.value)
    assert world.reads == 1

    world.pass_by(REREAD_SECONDS)
    world.secrets.rotate(NEW)
    assert (world.key.value(), world.reads) == (NEW, 2)


def test_a_key_that_stays_bad_is_tried_once_in_ten_seconds(world: World) -> None:
    for _ in range(50):
        world.pass_by(1)
        try:
            key = world.key.value()
        except ApiKeyError:
            continue
        with pytest.raises(ApiKeyError):
            world.key.renewed(key, 401)

    assert world.reads == 5


def test_a_profile_that_is_forbidden_is_no_obstacle_to_the_others(world: World) -> None:
    world.key.value()
    with pytest.raises(ApiKeyError, match=r"\(403\)"):
        world.key.renewed(OLD, 403)

    assert (world.key.value(), world.reads) == (OLD, 1)


def test_many_forbidden_profiles_are_one_read_in_ten_seconds(world: World) -> None:
    for _ in range(25):
        world.pass_by(1)
        with pytest.raises(ApiKeyError):
            world.key.renewed(world.key.value(), 403)

    assert world.reads == 3


def test_when_a_rotated_key_cannot_be_read_that_is_what_is_said(world: World) -> None:
    world.key.value()
    world.pass_by(REREAD_SECONDS)
    world.secrets.error = client_error("AccessDeniedException")
    for _ in range(2):  # the second time for a thread that was refused at the same moment
        with pytest.raises(ApiKeyError) as caught:
            world.key.renewed(OLD, 401)

        assert str(caught.value) == (
            "Secrets Manager refused to give the API key (AccessDeniedException)"
        )
    assert world.reads == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (client_error("ResourceNotFoundException"), "refused to give the API key (ResourceNot"),
        (client_error("ThrottlingException"), "refused to give the API key (ThrottlingExc"),
        (
            EndpointConnectionError(endpoint_url="https://x"),
            "could not be reached (EndpointConnectionError)",
        ),
        (ValueError(NEW), "could not be reached (ValueError)"),
    ],
)
def test_a_key_that_cannot_be_read_is_asked_for_once_in_ten_seconds(
    world: World, error: Exception, text: str
) -> None:
    world.secrets.error = error
    assert text in world.problem()
    world.secrets.error = None
    assert text in world.problem()
    assert world.reads == 1

    world.pass_by(REREAD_SECONDS)
    assert world.key.value() == OLD


def test_a_success_that_is_not_secrets_managers_own_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_self: Any, **_request: Any) -> dict[str, Any]:
        return {"ResponseMetadata": {"HTTPStatusCode": 200}}

    monkeypatch.setattr(FakeSecretsManager, "get_secret_value", answer)

    assert world.problem() == "Secrets Manager did not answer as itself"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is empty"),
        ("", "is empty"),
        (" \n", "is empty"),
        (f"{OLD}\n", "begins or ends with white space"),
        (f" {OLD}", "begins or ends with white space"),
        (f"{OLD},{OLD}", "contains a space, a comma or a character outside visible ASCII"),
        (f'{{"key":"{OLD}"}}', "is a JSON document: paste the value alone, as plaintext"),
        ("fifteen-letters", "is shorter than 16 characters"),
    ],
)
def test_a_key_that_cannot_work_is_refused_with_what_to_do(value: str | None, problem: str) -> None:
    with pytest.raises(ApiKeyError) as caught:
        usable(value)

    assert str(caught.value).startswith(f"The API key {problem}")
    assert str(caught.value).endswith("(README, 'Full profiles')")


@pytest.mark.parametrize("value", [f"{NEW}\n", f"{NEW}é", NEW[:15]])
def test_no_traceback_of_a_bad_key_shows_it(world: World, value: str) -> None:
    world.secrets.rotate(value)
    try:
        world.key.value()
    except ApiKeyError as error:
        shown = "".join(traceback.format_exception(error))

    assert NEW[:15] not in shown


def test_what_secrets_manager_says_about_a_failure_is_not_repeated(world: World) -> None:
    error: ClientError = client_error("AccessDeniedException")
    error.response["Error"]["Message"] = NEW
    world.secrets.error = error
    try:
        world.key.value()
    except ApiKeyError as failure:
        shown = "".join(traceback.format_exception(failure))

    assert NEW not in shown
