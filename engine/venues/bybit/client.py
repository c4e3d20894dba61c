"""Requests to Bybit through pybit: paced, on threads of their own, each with a deadline.

pybit is synchronous. Orders go by one pool of threads with connections of their own, so that they
never queue behind look-ups and readings, which go by another. A request that was not handed to the
socket when its deadline came is never sent; one that was is ``unknown``.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import requests
import structlog
import urllib3
from msgspec import Struct
from pybit.exceptions import FailedRequestError, InvalidRequestError

from engine.ports import Clock
from engine.venues.account import Outcome, RequestFailed, Sent, Urgency, Verdict
from engine.venues.bybit.client_budgets import BARS, BUDGETS, INSTRUMENTS, TIME, Endpoint
from engine.venues.bybit.client_clock import NS_PER_MS, Sample, VenueClock
from engine.venues.bybit.client_errors import MASK, Failure, Headers, judge
from engine.venues.bybit.client_http import BybitHttp, Handover, StampingAdapter
from engine.venues.bybit.codes import NOT_SENT, RATE_LIMITED, UNKNOWN
from engine.venues.bybit.parse import SHAPES, Answer, ServerTime
from engine.venues.pacing import NS_PER_SECOND, Pacer

ORDER_THREADS = 16
READ_THREADS = 4

ADDRESS_LIMITED = frozenset({"10018", "10429"})
"""Codes that end all requests of the address for a while."""

LONGEST_RESET_NS = 60 * NS_PER_SECOND

HANDOVER_S = 0.002
"""How long the loop stands still at most for an order that is on its way to the socket; an open
connection takes some 0.3 ms."""

_Asked = Future[tuple[Any, Headers]]

RAISED = (
    InvalidRequestError,
    FailedRequestError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    # What pybit does with an answer that is JSON but no object.
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)

log = structlog.get_logger(__name__)


class Deadlines(Struct, frozen=True):
    """How long is waited, in seconds: for a connection, an order's answer, any other answer."""

    connect_seconds: float = 3.0
    order_seconds: float = 5.0
    read_seconds: float = 10.0


class Keys(Struct, frozen=True):
    """An API key and its secret."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "Keys()"

    def mask(self, text: str) -> str:
        """Take both out of a text: the venue repeats the key in what it says of signatures."""
        for word in (self.key, self.secret):
            text = text.replace(word, MASK) if word else text
        return text


class _Lane(Struct, frozen=True):
    """Threads, and the client whose connections they use."""

    pool: ThreadPoolExecutor
    http: BybitHttp
    seconds: float


class BybitClient:
    """Asks one account's endpoints.

    Args:
        rest_url: before ``/v5``. public_url: the same of public data, where it is another.
        proxies: use those of the environment.

    Attributes:
        time: the venue's.
    """

    def __init__(
        self,
        rest_url: str,
        keys: Keys,
        clock: Clock,
        *,
        public_url: str = "",
        pacer: Pacer | None = None,
        deadlines: Deadlines | None = None,
        proxies: bool = False,
    ) -> None:
        self.time = VenueClock(clock)
        self._begun = 0
        self._clock = clock
        self._keys = keys
        self._pacer = pacer or Pacer("bybit", BUDGETS, clock)
        self._deadlines = deadlines or Deadlines()
        self._proxies = proxies
        orders = ThreadPoolExecutor(ORDER_THREADS, "bybit-orders")
        reads = ThreadPoolExecutor(READ_THREADS, "bybit-reads")
        order_s, read_s = self._deadlines.order_seconds, self._deadlines.read_seconds
        self._orders = _Lane(orders, self._http(rest_url, ORDER_THREADS, order_s), order_s)
        self._reads = _Lane(reads, self._http(rest_url, READ_THREADS, read_s), read_s)
        self._public = _Lane(
            reads, self._http(public_url or rest_url, READ_THREADS, read_s), read_s
        )

    def _http(self, url: str, threads: int, seconds: float) -> BybitHttp:
        return BybitHttp(
            url,
            self._keys.key,
            self._keys.secret,
            self.time.now_ms,
            StampingAdapter(self._clock.monotonic_ns, threads),
            (self._deadlines.connect_seconds, seconds),
            proxies=self._proxies,
        )

    def close(self) -> None:
        """Give threads and connections back; what was sent is not waited for."""
        for lane in (self._orders, self._reads, self._public):
            lane.pool.shutdown(wait=False, cancel_futures=True)
            lane.http.client.close()

    async def ask(
        self,
        endpoint: Endpoint,
        params: Mapping[str, Any],
        urgency: Urgency = Urgency.HOUSEKEEPING,
        sent: Sent | None = None,
    ) -> Any:
        """Ask once; returns the ``result``, of the type that ``parse.SHAPES`` names.

        Raises:
            RequestFailed: refused, not answered in time, or not sent.
        """
        if not self.time.is_set:
            await self._set_clock_first(endpoint, urgency)
        category = str(params.get("category", ""))
        await self._pacer.take(urgency, endpoint.costs(category))
        lane = self._lane(endpoint, urgency)
        answer, _ = await self._send(lane, endpoint, params, sent)
        return answer.result

    async def set_clock(self, samples: int = 1, urgency: Urgency = Urgency.HOUSEKEEPING) -> None:
        """Set the clock by the venue's, by the connections of orders: those stay warm by it.

        Raises:
            RequestFailed: the venue did not tell.
        """
        await self._pacer.take(urgency, dict.fromkeys(TIME.costs(""), samples))
        asked = [self._send(self._orders, TIME, {}, None) for _ in range(samples)]
        self.time.set([_sample(*told) for told in await asyncio.gather(*asked)])

    async def _set_clock_first(self, endpoint: Endpoint, urgency: Urgency) -> None:
        """What comes of asking for the time says nothing of the request that waits for it."""
        try:
            await self.set_clock(urgency=urgency)
        except RequestFailed as error:
            if error.verdict.outcome is not Outcome.UNKNOWN:
                raise
            raise RequestFailed(NOT_SENT, f"{endpoint.name} not sent: {error}") from None

    def _lane(self, endpoint: Endpoint, urgency: Urgency) -> _Lane:
        if endpoint in (BARS, INSTRUMENTS):
            return self._public
        return self._orders if urgency in (Urgency.CLOSE, Urgency.ORDER) else self._reads

    def begin(
        self, endpoint: Endpoint, params: Mapping[str, Any], urgency: Urgency, sent: Sent
    ) -> Coroutine[Any, Any, Any] | None:
        """Send an order within this call; returns what ``ask`` would, None where it has to wait.

        The thread that sends it goes before whatever else this one has to do: two threads share
        one interpreter, and our own books would make a close late.
        """
        category = str(params.get("category", ""))
        if not self.time.is_set or self._begun >= ORDER_THREADS:
            return None
        handover = Handover(_teller(sent))
        try:
            self._pacer.charge(urgency, endpoint.costs(category))
            future = self._submit(self._orders, endpoint, params, handover)
        except RequestFailed:
            return None
        self._begun += 1
        handover.wait(HANDOVER_S)
        return self._end(endpoint, category, future, handover)

    async def _end(
        self, endpoint: Endpoint, category: str, future: _Asked, handover: Handover
    ) -> Any:
        try:
            answer, _ = await self._answered(self._orders, endpoint, category, future, handover)
        finally:
            self._begun -= 1
        return answer.result

    async def _send(
        self, lane: _Lane, endpoint: Endpoint, params: Mapping[str, Any], sent: Sent | None
    ) -> tuple[Answer[Any], Handover]:
        handover = Handover(_teller(sent))
        category = str(params.get("category", ""))
        future = self._submit(lane, endpoint, params, handover)
        return await self._answered(lane, endpoint, category, future, handover)

    async def _answered(
        self, lane: _Lane, endpoint: Endpoint, category: str, future: _Asked, handover: Handover
    ) -> tuple[Answer[Any], Handover]:
        try:
            answer, headers = await self._wait(lane, endpoint, future, handover)
        except RAISED as error:
            failure = judge(error) if handover.sent_ns else Failure(NOT_SENT, repr(error))
            raise self._failed(endpoint, category, failure) from None
        self._note_limits(endpoint.charged_to(category), headers)
        try:
            return msgspec.convert(answer, SHAPES[endpoint.name]), handover
        except msgspec.ValidationError as error:
            failure = Failure(UNKNOWN, f"the answer is not what is documented: {error}")
            raise self._failed(endpoint, category, failure) from None

    def _submit(
        self, lane: _Lane, endpoint: Endpoint, params: Mapping[str, Any], handover: Handover
    ) -> _Asked:
        try:
            return lane.pool.submit(lane.http.ask, endpoint.method, dict(params), handover)
        except RuntimeError as error:
            raise RequestFailed(NOT_SENT, f"{endpoint.name}: {error}") from None

    async def _wait(
        self, lane: _Lane, endpoint: Endpoint, future: _Asked, handover: Handover
    ) -> tuple[Any, Headers]:
        """Wait for an answer, until the deadline."""
        try:
            async with asyncio.timeout(lane.seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            verdict = NOT_SENT if handover.abandon() else UNKNOWN
            raise RequestFailed(
                verdict, f"{endpoint.name}: no answer in {lane.seconds:.3g} s"
            ) from None
        finally:
            handover.abandon()

    def _failed(self, endpoint: Endpoint, category: str, failure: Failure) -> RequestFailed:
        """Heed what an error answer asks for, and return what is raised."""
        if failure.verdict.skewed:
            self.time.doubt()
        wait_ns = 0
        if failure.status:
            retry_after = (failure.headers or {}).get("Retry-After")
            wait_ns = self._pacer.note_status(failure.status, retry_after)
        elif failure.code in ADDRESS_LIMITED:
            self._pacer.ban(failure.verdict.wait_ns, f"{endpoint.name}: {failure.code}")
        elif failure.code in RATE_LIMITED:
            wait_ns = self._resets_in_ns(failure.headers) or failure.verdict.wait_ns
            if budget := endpoint.charged_to(category):
                self._pacer.note_left(budget, 0, wait_ns)
        return failure.error(endpoint.name, self._keys.mask, wait_ns)

    def _note_limits(self, budget: str, headers: Headers) -> None:
        left = headers.get("X-Bapi-Limit-Status", "")
        if budget and left.isdecimal():
            self._pacer.note_left(budget, int(left), self._resets_in_ns(headers) or None)

    def _resets_in_ns(self, headers: Headers | None) -> int:
        """When the venue counts an endpoint's requests anew; 0 where it does not say."""
        text = (headers or {}).get("X-Bapi-Limit-Reset-Timestamp", "")
        if not text.isdecimal():
            return 0
        return min(max(int(text) * NS_PER_MS - self.time.now_ns(), 0), LONGEST_RESET_NS)


def _teller(sent: Sent | None) -> Callable[[int], None]:
    """Have the loop told from a thread; a loop that has ended since needs not be."""
    if sent is None:
        return _tell_nobody
    loop = asyncio.get_running_loop()

    def tell(sent_ns: int) -> None:
        try:
            loop.call_soon_threadsafe(sent, sent_ns)
        except RuntimeError:
            log.debug("bybit.sent_untold", sent_ns=sent_ns)

    return tell


def _tell_nobody(sent_ns: int) -> None:
    del sent_ns


def _sample(answer: Answer[ServerTime], handover: Handover) -> Sample:
    sent_ns, answered_ns = handover.sent_ns or 0, handover.answered_ns or 0
    if not answer.result.time_nano.isdecimal():
        message = f"the venue's time is {answer.result.time_nano[:40]!r}"
        raise RequestFailed(Verdict(Outcome.UNKNOWN), message)
    return Sample(sent_ns, answered_ns, int(answer.result.time_nano))
