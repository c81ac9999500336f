import pytest

from receiver.consumer.settings import ConsumerSettings
from receiver.ingest.settings import IngestSettings
from receiver.lambda_support.errors import SettingsError
from receiver.lambda_support.settings import trace_header

INGEST = {
    "EVENTS_QUEUE_URL": "https://sqs.example/events",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead-letters",
    "HELD_QUEUE_URL": "https://sqs.example/held",
    "ALLOWED_SOURCE_CIDRS": "",
    "ONLY_DOMAIN_NAME": "",
    "HELD_DELIVERIES_PER_MINUTE": "60",
    "WEBHOOK_SECRET_ID": "secret-id",
    "MAX_BODY_BYTES": "262144",
    "SECRET_CACHE_SECONDS": "300",
    "PREVIOUS_SECRET_GRACE_HOURS": "24",
}


@pytest.fixture
def ingest_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INGEST.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("ingest_environment")
def test_settings_are_the_environment_variables_of_the_same_names_with_their_types() -> None:
    assert IngestSettings.from_environment() == IngestSettings(
        events_queue_url="https://sqs.example/events",
        dead_letter_queue_url="https://sqs.example/dead-letters",
        held_queue_url="https://sqs.example/held",
        held_deliveries_per_minute=60,
        webhook_secret_id="secret-id",
        max_body_bytes=262_144,
        secret_cache_seconds=300,
        previous_secret_grace_hours=24,
        allowed_source_cidrs="",
        only_domain_name="",
    )


@pytest.mark.usefixtures("ingest_environment")
@pytest.mark.parametrize("name", sorted(INGEST))
def test_a_missing_setting_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)

    with pytest.raises(SettingsError, match=f"^{name}: Field required$"):
        IngestSettings.from_environment()


@pytest.mark.usefixtures("ingest_environment")
@pytest.mark.parametrize(
    "name", ["MAX_BODY_BYTES", "SECRET_CACHE_SECONDS", "PREVIOUS_SECRET_GRACE_HOURS"]
)
@pytest.mark.parametrize("value", ["", "marker", "1.5marker"])
def test_an_ill_typed_setting_stops_the_start_and_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{name}: Input should be") as raised:
        IngestSettings.from_environment()

    assert "marker" not in str(raised.value)


def test_settings_of_another_function_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", "https://sqs.example/dead-letters")
    monkeypatch.setenv("PROFILES_TABLE_NAME", "profiles")
    monkeypatch.setenv("EVENTS_TABLE_NAME", "events")
    monkeypatch.setenv("EVENT_RETENTION_DAYS", "30")
    monkeypatch.setenv("MAX_BODY_BYTES", "many")

    assert ConsumerSettings.from_environment().profiles_table_name == "profiles"


def test_the_trace_header_is_the_one_of_this_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1;Sampled=1")

    assert trace_header() == "Root=1;Sampled=1"


def test_outside_lambda_there_is_no_trace_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)

    assert trace_header() is None
