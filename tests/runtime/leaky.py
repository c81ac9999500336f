"""A function that forgets everything: it shows that the search of the other tests finds a leak."""

import json
from typing import Any

import botocore.session

_sqs: Any = botocore.session.get_session().create_client("sqs")


def lambda_handler(event: dict[str, Any], _context: object) -> None:
    """Send the event to the queue that it names, then fail with its text."""
    _sqs.send_message(QueueUrl=event["queue"], MessageBody=json.dumps(event))
    raise ValueError(event)
