"""Where the failures of a venue's requests end: a log line, and what they say of the key."""

from collections.abc import Callable
from types import TracebackType

import structlog

from engine.venues.account import Outcome, RequestFailed
from engine.venues.standing import Cause, Standing

log = structlog.get_logger(__name__)


def note_failure(venue: str, request: str, error: RequestFailed) -> None:
    """Write a venue's refusal down; what the owner has to act upon is told elsewhere."""
    log.warning(
        "venue.request_failed",
        venue=venue,
        request=request,
        outcome=str(error.verdict.outcome),
        code=error.code,
        reason=str(error),
    )


class Guard:
    """A request whose failure is no answer: ``with`` ends it, but for a failure of our own.

    Args:
        cause: what a refusal for good stops, and a success puts right; None neither.
        is_ours: tells whether our own side failed, which ends the process.

    Attributes:
        wait_ns: for how long the venue wants no requests; 0 when it named no time.
    """

    def __init__(
        self,
        venue: str,
        request: str,
        standing: Standing,
        cause: Cause | None,
        is_ours: Callable[[], bool],
    ) -> None:
        self.wait_ns = 0
        self._venue = venue
        self._request = request
        self._standing = standing
        self._cause = cause
        self._is_ours = is_ours

    def __enter__(self) -> "Guard":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        del kind, trace
        if error is None:
            self._clear()
            return False
        if isinstance(error, RequestFailed):
            self._judge(error)
        elif isinstance(error, TimeoutError):
            log.warning("venue.request_timed_out", venue=self._venue, request=self._request)
        elif not isinstance(error, Exception) or self._is_ours():
            return False
        else:
            log.error(
                "venue.request_crashed", venue=self._venue, request=self._request, exc_info=error
            )
        return True

    def _clear(self) -> None:
        if self._cause is Cause.ORDER:
            self._standing.clear(Cause.ORDER, Cause.ACCOUNT)
        elif self._cause is not None:
            self._standing.clear(self._cause)

    def _judge(self, error: RequestFailed) -> None:
        verdict = error.verdict
        note_failure(self._venue, self._request, error)
        if verdict.outcome is Outcome.STOP and self._cause is not None:
            self._standing.stop(self._cause, verdict.remedy or str(error))
        self.wait_ns = verdict.wait_ns
