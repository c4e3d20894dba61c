"""Where the failures of a venue's requests end: a log line, and what they say of the key."""

from collections.abc import Callable
from types import TracebackType

import structlog

from engine.clock import NS_PER_SECOND
from engine.ports import Clock
from engine.venues.account import Outcome, RequestFailed
from engine.venues.standing import Cause, Standing

log = structlog.get_logger(__name__)


WRITTEN_EACH_NS = NS_PER_SECOND
KINDS_KEPT = 256


class Failures:
    """The refusals of one venue, written down; what the owner has to act upon is told elsewhere.

    Of one kind a line a second is written: where a venue is silent, all that wait for it fail
    together, and the lines would hold up the prices of other venues.
    """

    def __init__(self, venue: str, clock: Clock) -> None:
        self._venue = venue
        self._clock = clock
        self._unwritten: dict[tuple[str, str, str], tuple[int, int]] = {}

    def note(self, request: str, error: RequestFailed) -> None:
        """Write a failure down, or count it for the next line of its kind."""
        kind = request, error.code, str(error)
        now_ns = self._clock.monotonic_ns()
        written_ns, alike = self._unwritten.get(kind, (now_ns - WRITTEN_EACH_NS, 0))
        if now_ns - written_ns < WRITTEN_EACH_NS:
            self._unwritten[kind] = written_ns, alike + 1
            return
        if len(self._unwritten) >= KINDS_KEPT:
            self._unwritten.clear()
        self._unwritten[kind] = now_ns, 0
        log.warning(
            "venue.request_failed",
            venue=self._venue,
            request=request,
            outcome=str(error.verdict.outcome),
            code=error.code,
            reason=kind[2],
            unwritten_before=alike,
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
        failures: Failures,
        is_ours: Callable[[], bool],
    ) -> None:
        self.wait_ns = 0
        self._failures = failures
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
        self._failures.note(self._request, error)
        if verdict.outcome is Outcome.STOP and self._cause is not None:
            self._standing.stop(self._cause, verdict.remedy or str(error))
        self.wait_ns = verdict.wait_ns
