"""What a dead letter is, whoever wrote it, and where it goes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpw.parked.dead_letters import (
    DeadLetter,
    Destination,
    Kind,
    NotRedrivableError,
    from_sqs,
    redrive,
)
from tests.factories import make_body, make_event, sample, to_json
from tests.strategies import json_values

NOW = datetime(2026, 1, 31, 14, tzinfo=UTC)
RETENTION = timedelta(days=30)
FROM_INGEST = {"received_at": "2026-01-31T13:59:59.000000Z"}
FROM_BUS = {"RULE_ARN": "arn:aws:events:::rule", "TARGET_ARN": "arn:aws:sqs:::queue"}
KINDS = {"my-events": Kind.EVENT, "my-hydration": Kind.HYDRATION}

DISCARDED: dict[str, Any] = sample("discarded-batch")


def dead_letter(body: str, moved_from: str = "", **attributes: str) -> DeadLetter:
    system = {"SentTimestamp": "1769868000000", "AWSTraceHeader": "Root=1-2-3;Lineage=1:abc:16"}
    if moved_from:
        system["DeadLetterQueueSourceArn"] = f"arn:aws:sqs:eu-central-1:123456789012:{moved_from}"
    raw = {
        "MessageId": "id-1",
        "Body": body,
        "Attributes": system,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    }
    return from_sqs(raw, KINDS)


def fate(found: DeadLetter, *, force: bool) -> str:
    """The body that it is sent as, or why it is kept."""
    try:
        return redrive(found, hydrating=True, now=NOW, retention=RETENTION, force=force).body
    except NotRedrivableError as why:
        return str(why)


# ---------------------------------------------------------------- what it is


@pytest.mark.parametrize(
    ("body", "moved_from", "attributes", "kind"),
    [
        (make_body(), "", {}, Kind.EVENT),
        ("{", "", {}, Kind.EVENT),
        ("{", "", {"source": "ingest"}, Kind.EVENT),
        ('{"hydrate": {}}', "", {"source": "consumer"}, Kind.EVENT),
        ('{"hydrate": {}}', "", {"source": "hydrator"}, Kind.HYDRATION),
        ('{"hydrate": {}}', "", {}, Kind.HYDRATION),
        ('{"hydrate": 1}', "", {}, Kind.EVENT),
        ('{"hydrate": {}}', "", FROM_INGEST, Kind.EVENT),
        ('{"hydrate": {}}', "my-events", {}, Kind.EVENT),
        ("{", "my-hydration", {}, Kind.HYDRATION),
        (make_body(), "my-hydration", {"source": "consumer"}, Kind.EVENT),
        ('{"hydrate": {}}', "another-queue", {}, Kind.HYDRATION),
        ('{"reconcile": {}}', "", {}, Kind.HYDRATION),
        ('{"sync": {}}', "", {}, Kind.HYDRATION),
        ('{"sync": {}}', "", FROM_BUS, Kind.HYDRATION),
        ('{"detail-type": "x", "detail": {"tenant_id": "t"}}', "", {}, Kind.HYDRATION),
        ("{", "", FROM_BUS, Kind.HYDRATION),
        ('{"detail-type": "Scheduled Event", "source": "aws.events"}', "", FROM_BUS, Kind.SCHEDULE),
        (make_body(), "", {"source": "publisher"}, Kind.PUBLICATION),
        (json.dumps(DISCARDED), "", {}, Kind.STREAM),
        (json.dumps(DISCARDED), "", FROM_INGEST, Kind.EVENT),
        (make_body(DISCARDED | make_event()), "", {}, Kind.EVENT),
        (json.dumps({"DDBStreamBatchInfo": {}}), "", {}, Kind.EVENT),
    ],
)
def test_it_is_known_by_its_attributes_and_only_without_them_by_its_form(
    body: str, moved_from: str, attributes: dict[str, str], kind: Kind
) -> None:
    assert dead_letter(body, moved_from, **attributes).kind is kind


def test_lambdas_record_of_a_discarded_batch_needs_every_field_that_tells_what_to_do() -> None:
    batch = DISCARDED["DDBStreamBatchInfo"]
    kinds = {
        name: dead_letter(
            json.dumps(
                DISCARDED | {"DDBStreamBatchInfo": {n: v for n, v in batch.items() if n != name}}
            )
        ).kind
        for name in batch
    }
    never_invoked = {n: v for n, v in DISCARDED.items() if n != "responseContext"}

    assert set(kinds.values()) == {Kind.EVENT}
    assert dead_letter(json.dumps(never_invoked)).kind is Kind.STREAM


@pytest.mark.parametrize("info", ["DDBStreamBatchInfo", None, 1, [], {"batchSize": []}, {}])
def test_an_event_with_a_field_of_lambdas_is_an_event(info: Any) -> None:
    event = make_event() | {"DDBStreamBatchInfo": info, "requestContext": {"condition": "x"}}

    found = dead_letter(json.dumps(event))

    assert (found.kind, found.reason) == (Kind.EVENT, "received_too_often")
    assert redrive(found, hydrating=True, now=NOW, retention=RETENTION).to is Destination.EVENTS


# Objects with the keys that gpw looks for, and anything under them.
LOOKALIKES = st.dictionaries(
    st.sampled_from(
        [
            *("event", "tenant_id", "data", "id", "created_at", "hydrate", "sync", "detail"),
            *("detail-type", "source", "profile_id", "DDBStreamBatchInfo", "requestContext"),
            *("version", "timestamp"),
        ]
    ),
    st.one_of(
        json_values,
        st.just("aws.events"),
        st.just(DISCARDED["requestContext"]),
        st.just(DISCARDED["DDBStreamBatchInfo"]),
        st.dictionaries(
            st.sampled_from(["tenant_id", "profile_id", "data", "batchSize"]), json_values
        ),
    ),
)


@given(
    st.one_of(LOOKALIKES.map(to_json), json_values.map(to_json), st.text(min_size=1)),
    st.sampled_from(["", "my-events", "my-hydration"]),
    st.dictionaries(
        st.sampled_from(
            ["source", "reason", "encoding", "body_bytes", "received_at", *FROM_BUS, "ERROR_CODE"]
        ),
        st.sampled_from(["base64", "empty", "publisher", "hydrator", "x", "", "12"]),
    ),
    st.booleans(),
)
def test_none_is_too_strange_to_be_read_shown_and_redriven(
    body: str, moved_from: str, attributes: dict[str, str], force: bool
) -> None:
    found = dead_letter(body, moved_from, **attributes)
    shown = (found.event, found.tenant, found.profile, found.event_id, found.reason, found.detail)

    assert {type(one) for one in shown} <= {str, type(None)}
    assert fate(found, force=force)


@pytest.mark.parametrize("depth", [900, 5_000, 100_000])
@pytest.mark.parametrize("form", ['{{"a":{0}1{1}}}', make_body().replace('"ready"', "{0}{1}")])
def test_none_is_nested_too_deeply_to_be_read_and_redriven(form: str, depth: int) -> None:
    body = form.replace("{{", "{").replace("}}", "}")
    body = body.replace("{0}", "[" * depth).replace("{1}", "]" * depth)

    found = dead_letter(body)

    with pytest.raises(NotRedrivableError, match="would fail again"):
        redrive(found, hydrating=True, now=NOW, retention=RETENTION)


# ---------------------------------------------------------------- where it goes


def test_an_event_keeps_its_trace() -> None:
    to = redrive(dead_letter(make_body()), hydrating=True, now=NOW, retention=RETENTION)

    assert to.to is Destination.EVENTS
    assert to.system["AWSTraceHeader"]["StringValue"].startswith("Root=1-2-3")


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        ('{"hydrate": {"tenant_id": "t"}}', {}),
        ('{"reconcile": {}}', FROM_BUS),
        (
            '{"detail-type": "profile.updated", "detail": {"tenant_id": "t"}}',
            {"source": "hydrator"},
        ),
    ],
)
def test_a_hydration_message_begins_a_new_chain_for_lambdas_loop_detection(
    body: str, attributes: dict[str, str]
) -> None:
    """With the old trace header Lambda would count on, and stop it at once."""
    to = redrive(dead_letter(body, **attributes), hydrating=True, now=NOW, retention=RETENTION)

    assert (to.to, to.body, to.attributes, to.system) == (Destination.HYDRATION, body, {}, {})


def test_what_lambda_discarded_is_explained_with_its_times() -> None:
    with pytest.raises(NotRedrivableError, match=r"7 events .* --since 2026-01-31T14:00:00Z"):
        redrive(dead_letter(json.dumps(DISCARDED)), hydrating=True, now=NOW, retention=RETENTION)
