"""What pybit and ``requests`` raise, as what became of the request."""

from collections.abc import Callable, Mapping

import requests
from msgspec import Struct
from pybit.exceptions import FailedRequestError, InvalidRequestError
from urllib3.exceptions import MaxRetryError, NewConnectionError

from engine.venues.account import RequestFailed, Verdict
from engine.venues.bybit.codes import NOT_SENT, UNKNOWN, judge_code, judge_http

MOST_TEXT = 300
MASK = "********"

UNDECODED = 409
"""The status that pybit gives an answer that is no JSON; the venue's own is lost."""

Headers = Mapping[str, str]


class Failure(Struct, frozen=True):
    """An error, judged.

    Attributes:
        code: the venue's own, or ``HTTP`` and the status; empty where there was no answer.
        status: HTTP, of an answer that was not 200; else 0.
    """

    verdict: Verdict
    message: str
    code: str = ""
    status: int = 0
    headers: Headers | None = None

    def error(self, name: str, mask: Callable[[str], str], wait_ns: int) -> RequestFailed:
        """Return what is raised, its text cut and masked; ``wait_ns`` 0 keeps the verdict's."""
        verdict = self.verdict
        if wait_ns:
            verdict = Verdict(verdict.outcome, verdict.refusal, wait_ns, verdict.skewed)
        text = mask(f"{name}: {self.code} {self.message}"[:MOST_TEXT])
        return RequestFailed(verdict, text, self.code)


def judge(error: Exception) -> Failure:
    """Say what became of a request that was handed to the socket."""
    if isinstance(error, InvalidRequestError):
        code = int(error.status_code)
        return Failure(judge_code(code), error.message, str(code), headers=error.resp_headers)
    if isinstance(error, FailedRequestError):
        return _judge_status(error)
    if isinstance(error, requests.RequestException) and never_connected(error):
        return Failure(NOT_SENT, f"no connection: {type(error).__name__}")
    return Failure(UNKNOWN, f"{type(error).__name__}: {error}")


def _judge_status(error: FailedRequestError) -> Failure:
    status = int(error.status_code)
    if status == UNDECODED and error.resp_headers is None:
        return Failure(UNKNOWN, "the answer is no JSON")
    message = f"HTTP {status}"
    return Failure(judge_http(status), message, message, status, error.resp_headers)


def never_connected(error: requests.RequestException) -> bool:
    """Tell whether there was no connection, so that nothing can have been sent."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
