"""Which topics a connection carries, and what has to be asked next. No I/O, no clock.

Times are seconds of any one monotonic clock. A topic is *due*, then *asked*, then *active*; a
refusal or a missing answer makes it due again later, alone, so that one bad topic of a batch does
not take the others with it.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

RETRY_SECONDS = (0.5, 60.0)
"""Pause after the first failure, and after every later one (which is reported)."""

REPORT_AFTER = 2


class Request(Struct, frozen=True):
    """One request to the venue, awaiting its answer until ``deadline_s``."""

    request_id: str
    topics: tuple[str, ...]
    subscribe: bool
    deadline_s: float


class Failure(Struct, frozen=True):
    """A request that was refused or not answered; ``reported`` are topics that failed again."""

    request: Request
    reason: str
    reported: tuple[str, ...]


class Subscriptions:
    """The subscriptions of one connection. ``wanted`` is read live and may change at any time."""

    def __init__(
        self,
        wanted: Mapping[str, object],
        max_topics: int,
        ack_seconds: float,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
    ) -> None:
        self.active: set[str] = set()
        self._wanted = wanted
        self._max_topics = max_topics
        self._ack_seconds = ack_seconds
        self._retry_seconds = retry_seconds
        self._asked: dict[str, Request] = {}
        self._failed: dict[str, tuple[int, float]] = {}
        self._serial = 0

    def complete(self) -> bool:
        """Tell whether every wanted topic was acknowledged or has been given up for now."""
        return all(topic in self.active or self._attempts(topic) for topic in self._wanted)

    def next_request(self, now_s: float) -> Request | None:
        """Make the next request that is due, or None."""
        busy = {topic for request in self._asked.values() for topic in request.topics}
        gone = [t for t in self.active if t not in self._wanted and t not in busy]
        if gone:
            return self._ask(gone[: self._max_topics], now_s, subscribe=False)
        due = self._due(busy, now_s)
        return self._ask(due, now_s, subscribe=True) if due else None

    def acknowledge(self, request_id: str) -> Request | None:
        """Take a positive answer. One without an id answers the oldest request."""
        request = self._take(request_id)
        if request is None:
            return None
        if request.subscribe:
            self.active.update(request.topics)
            for topic in request.topics:
                self._failed.pop(topic, None)
        else:
            self.active.difference_update(request.topics)
        return request

    def refuse(self, request_id: str, reason: str, now_s: float) -> Failure | None:
        """Take a negative answer. One without an id answers the oldest request."""
        request = self._take(request_id)
        return self._fail(request, reason, now_s) if request is not None else None

    def expire(self, now_s: float) -> list[Failure]:
        """Fail the requests whose deadline has passed."""
        late = [r for r in self._asked.values() if r.deadline_s <= now_s]
        for request in late:
            del self._asked[request.request_id]
        return [self._fail(request, "not acknowledged", now_s) for request in late]

    def wait_seconds(self, now_s: float) -> float | None:
        """Time until the next deadline or retry; None if there is none."""
        moments = [request.deadline_s for request in self._asked.values()]
        moments += [at for topic, (_, at) in self._failed.items() if topic in self._wanted]
        return max(min(moments) - now_s, 0.0) if moments else None

    def _due(self, busy: Collection[str], now_s: float) -> list[str]:
        first: list[str] = []
        for topic in self._wanted:
            if topic in self.active or topic in busy:
                continue
            if topic not in self._failed:
                first.append(topic)
            elif self._failed[topic][1] <= now_s:
                return [topic]
        return first[: self._max_topics]

    def _ask(self, topics: Sequence[str], now_s: float, *, subscribe: bool) -> Request:
        self._serial += 1
        request = Request(str(self._serial), tuple(topics), subscribe, now_s + self._ack_seconds)
        self._asked[request.request_id] = request
        return request

    def _take(self, request_id: str) -> Request | None:
        key = request_id or next(iter(self._asked), "")
        return self._asked.pop(key, None)

    def _attempts(self, topic: str) -> int:
        return self._failed[topic][0] if topic in self._failed else 0

    def _fail(self, request: Request, reason: str, now_s: float) -> Failure:
        if not request.subscribe:
            # Its frames are ignored from now on; asking again would gain nothing.
            self.active.difference_update(request.topics)
            return Failure(request, reason, ())
        reported: list[str] = []
        for topic in request.topics:
            attempts = self._attempts(topic) + 1
            pause_s = self._retry_seconds[min(attempts, len(self._retry_seconds)) - 1]
            self._failed[topic] = (attempts, now_s + pause_s)
            if attempts >= REPORT_AFTER:
                reported.append(topic)
        return Failure(request, reason, tuple(reported))
