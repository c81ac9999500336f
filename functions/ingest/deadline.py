"""An answer in time, whatever the network does."""

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ingest import answer
from ingest.answer import Answer

# The SDK's timeouts bound each attempt to connect and each silence while reading; not a slow name
# server, a trickling answer, or the sum over Secrets Manager and SQS. This bounds the whole: the
# 503 leaves 1.5 s before the function's timeout of 5 s, which is also when the sender gives up.
DEADLINE_SECONDS = 3.5


def within_deadline(receive: Callable[[], Answer], seconds: float = DEADLINE_SECONDS) -> Answer:
    """The answer, or 503 once the time is up or something unforeseen was raised.

    What goes on after the deadline may still queue the event: the sender's retry is then a
    duplicate, which changes nothing.
    """
    # A thread for each request: calls that are stuck, however many, do not hold up the next one.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="receive")
    try:
        return thread.submit(receive).result(timeout=seconds)
    except TimeoutError:
        return answer.unavailable("deadline_exceeded", f"no answer within {seconds} s")
    except Exception as error:  # the sender must be told to retry, whatever it was
        return answer.unavailable("internal_error", _place(error))
    finally:
        thread.shutdown(wait=False)


def _place(error: Exception) -> str:
    # Class and line alone: the text of an error nobody foresaw might quote the request.
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
