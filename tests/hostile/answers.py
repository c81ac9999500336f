"""What an answer may say, word by word, so that no word of a request can be in it."""

import json
import re
from typing import Any

from tests.hostile.openapi import documented

_TEXTS = re.compile(
    r"""The[ ]body[ ]is[ ]not[ ]UTF-8
    |The[ ]body[ ]is[ ]not[ ]JSON[ ]\(line[ ]\d+,[ ]column[ ]\d+\)
    |The[ ]body[ ]is[ ]nested[ ]too[ ]deeply
    |The[ ]body[ ]is[ ]larger[ ]than[ ]262144[ ]bytes
    |The[ ]content[ ]type[ ]must[ ]be[ ]application/json
    |The[ ]content[ ]encoding[ ]must[ ]be[ ]identity
    |The[ ]body[ ]has[ ]more[ ]than[ ]20000[ ]values
    |A[ ]number[ ]is[ ]out[ ]of[ ]range
    |An[ ]object[ ]has[ ]the[ ]same[ ]key[ ]twice
    |(NaN|-?Infinity)[ ]is[ ]not[ ]JSON
    |Invalid[ ]event""",
    re.VERBOSE,
)
_PROBLEMS = re.compile(
    r"""Field[ ]required
    |Input[ ]should[ ]be[ ]a[ ]valid[ ](string|dictionary)
    |Input[ ]should[ ]be[ ]a[ ]valid[ ]dictionary[ ]or[ ]instance[ ]of[ ](Event|ProfileUpdated)
    |Input[ ]should[ ]be[ ]a[ ]valid[ ]string,[ ]unable[ ]to[ ]parse[ ]raw[ ]data[ ]as
        [ ]a[ ]unicode[ ]string
    |String[ ]should[ ]have[ ]at[ ](least[ ]1[ ]character|most[ ]128[ ]characters)
    |Input[ ]should[ ]be[ ]an[ ]RFC[ ]3339[ ]timestamp,[ ]such[ ]as[ ]2023-10-01T12:00:00Z
    |Input[ ]should[ ]be[ ]a[ ]date[ ]that[ ]exists
    |Input[ ]should[ ]be[ ]a[ ]valid[ ]datetime[ ]or[ ]date,[ ][a-z ]+
    |Input[ ]is[ ]more[ ]than[ ]5[ ]minutes[ ]in[ ]the[ ]future""",
    re.VERBOSE,
)


def check_answer(answer: dict[str, Any]) -> None:
    """Assert that a handler's answer is a documented one and quotes nothing."""
    assert answer.keys() == {"statusCode", "headers", "body"}
    assert documented(answer["statusCode"], answer["headers"], answer["body"])
    assert answer["statusCode"] != 503
    if answer["body"].startswith("{"):
        document = json.loads(answer["body"])
        assert _TEXTS.fullmatch(document["error"]), document
        assert all(_PROBLEMS.fullmatch(f["problem"]) for f in document.get("fields", [])), document
