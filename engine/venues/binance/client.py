"""python-binance's ``AsyncClient`` for one market, and what every request of ours needs of it.

The library builds, signs and sends. Ours are: the addresses, one clock offset for each market (the
library knows the spot clock only), the moment a request was handed to the socket, the budgets, a
deadline, the error codes, and typed answers. Parameters are texts: the library would write a float
as ``1e-05`` and a bool as ``True`` (../shared/wire/binance.md).
"""

import asyncio
import hashlib
import hmac
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
import structlog
from binance import AsyncClient
from binance.exceptions import BinanceAPIException

from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.instrument import Market
from engine.ports import Clock
from engine.venues.account import Outcome, RequestFailed, Sent, Urgency
from engine.venues.binance import codes
from engine.venues.binance.client_costs import BUDGETS, NEW_ORDER_HEADERS, WEIGHT, costs
from engine.venues.binance.parse import ServerTime
from engine.venues.pacing import Pacer
from engine.venues.urls import BinanceUrls

ORDER_SECONDS = 5.0
READ_SECONDS = 10.0
SYNC_SECONDS = 3.0
SYNC_TRIES = 3
GOOD_ROUND_TRIP_NS = 200 * NS_PER_MS
IDLE_SECONDS = 30.0
"""How long an idle connection is kept: longer than the pause between two requests for the time."""

RECV_WINDOW_MS = 5000

Shape = TypeVar("Shape")

log = structlog.get_logger(__name__)


class MarketClient(AsyncClient):  # type: ignore[misc]  # the library has no types
    """The library's client with our addresses, deadlines and connector.

    It is made inside a running loop; ``create()``, which asks the spot market even when only
    futures matter, is not used.
    """

    REQUEST_RECVWINDOW = RECV_WINDOW_MS

    def __init__(
        self,
        urls: BinanceUrls,
        key: str,
        secret: str,
        noted: Callable[[aiohttp.ClientResponse], None],
    ) -> None:
        self.API_URL = f"{urls.spot_rest}/api"
        self.MARGIN_API_URL = f"{urls.spot_rest}/sapi"
        self.FUTURES_URL = f"{urls.usdm_rest}/fapi"
        self.WS_API_URL = urls.spot_ws_api
        self._noted = noted
        super().__init__(key, secret)

    def _init_session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_chunk_sent.append(_tell_sent)
        return aiohttp.ClientSession(
            headers=self._get_headers(),
            connector=aiohttp.TCPConnector(keepalive_timeout=IDLE_SECONDS, ttl_dns_cache=300),
            trace_configs=[trace],
        )

    async def _handle_response(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body of a success as it came: what it must hold, only the caller knows."""
        self._noted(response)
        body = await response.read()
        if response.ok:
            return body
        # The library takes any JSON for an object with a code.
        text = body.decode(errors="replace") if body.startswith(b"{") else ""
        raise BinanceAPIException(response, response.status, text)

    async def ask_api(self, method: str, path: str, data: dict[str, Any], *, signed: bool) -> bytes:
        """Send one request through the library; ``path`` begins with the product, as ``/fapi``."""
        _, product, version, rest = path.split("/", 3)
        if product == "fapi":
            answer = await self._request_futures_api(
                method, rest, signed=signed, version=int(version[1:]), data=data
            )
        elif product == "sapi":
            answer = await self._request_margin_api(method, rest, signed=signed, data=data)
        else:
            answer = await self._request_api(method, rest, signed=signed, data=data)
        return bytes(answer)


async def _tell_sent(
    session: aiohttp.ClientSession,
    context: types.SimpleNamespace,
    params: aiohttp.TraceRequestChunkSentParams,
) -> None:
    """The body of a request is about to be written to its socket."""
    del session, params
    tell = context.trace_request_ctx
    if tell is not None:
        tell()


@cache
def _deadline(seconds: float) -> aiohttp.ClientTimeout:
    """The deadline of a whole request: waiting for a connection, sending, and the answer."""
    return aiohttp.ClientTimeout(total=seconds)


class _HandOver:
    """Notes when a request was handed to the socket, once."""

    def __init__(self, clock: Clock, sent: Sent | None) -> None:
        self.done = False
        self._clock = clock
        self._sent = sent

    def __call__(self) -> None:
        if not self.done:
            self.done = True
            if self._sent is not None:
                self._sent(self._clock.monotonic_ns())


class MarketRest:
    """One market's REST: paced, bounded, judged and typed.

    Attributes:
        market: whose clock, budgets and error codes these are.
        pacer: its budgets.
        round_trip_ns: of the request that told the clock.
        offset_ms: the venue's clock less ours.
    """

    def __init__(
        self, market: Market, urls: BinanceUrls, key: str, secret: str, clock: Clock
    ) -> None:
        self.market = market
        self.pacer = Pacer(f"binance.{market}", BUDGETS[market], clock)
        self.round_trip_ns = 0
        self.offset_ms = 0
        self._clock = clock
        self._secret = secret
        self._key = key
        self._urls = urls
        self._opened: MarketClient | None = None
        self._is_synced = False
        self._syncing: asyncio.Task[None] | None = None
        self._product = "api/v3" if market is Market.SPOT else "fapi/v1"

    @property
    def _client(self) -> MarketClient:
        """The library's client: made with the first request, since it needs a running loop."""
        if self._opened is None:
            self._opened = MarketClient(self._urls, self._key, self._secret, self._note_headers)
            self._opened.timestamp_offset = self.offset_ms
        return self._opened

    async def close(self) -> None:
        """Close the session with its connections; requests under way fail."""
        client, self._opened = self._opened, None
        if client is not None:
            await client.close_connection()

    def venue_ms(self, at_ns: int | None = None) -> int:
        """Return a moment of our clock (UTC ns; now without one) by the venue's clock, in ms."""
        return (self._clock.now_ns() if at_ns is None else at_ns) // NS_PER_MS + self.offset_ms

    async def sync(self) -> None:
        """Set the clock by the venue's: the quickest of a few answers counts.

        Raises:
            RequestFailed: the venue did not tell the time.
        """
        best_ns = 0
        for _ in range(SYNC_TRIES):
            took_ns = await self._sync_once(best_ns)
            best_ns = min(best_ns or took_ns, took_ns)
            if took_ns <= GOOD_ROUND_TRIP_NS:
                return

    async def _sync_once(self, best_ns: int) -> int:
        """Ask the time; returns how long that took, and sets the clock if it was the quickest."""
        began_ns, local_ns = self._clock.monotonic_ns(), self._clock.now_ns()
        path = f"/{self._product}/time"
        told = await self.get(path, {}, ServerTime, signed=False, seconds=SYNC_SECONDS)
        took_ns = self._clock.monotonic_ns() - began_ns
        if not best_ns or took_ns < best_ns:
            self.round_trip_ns = took_ns
            middle_ms = (local_ns + took_ns // 2) // NS_PER_MS
            self.offset_ms = self._client.timestamp_offset = told.server_time - middle_ms
            self._is_synced = True
        return took_ns

    async def get(
        self,
        path: str,
        params: Mapping[str, str],
        shape: type[Shape],
        urgency: Urgency = Urgency.HOUSEKEEPING,
        *,
        signed: bool = True,
        seconds: float = READ_SECONDS,
    ) -> Shape:
        """Ask for something; see ``send``."""
        return await self.send("get", path, params, shape, urgency, signed=signed, seconds=seconds)

    async def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        shape: type[Shape],
        urgency: Urgency,
        *,
        signed: bool = True,
        seconds: float = ORDER_SECONDS,
        sent: Sent | None = None,
    ) -> Shape:
        """Send one request and read its answer.

        The library's HTTP client sends a GET or DELETE again by itself if the connection it was
        kept on turns out to be closed; a POST never.

        Raises:
            RequestFailed: refused, not answered in time, or not in that shape. What was never
                handed to the socket may be sent again; else silence means that it is not known.
        """
        body = await self.fetch(
            method, path, params, urgency, signed=signed, seconds=seconds, sent=sent
        )
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RequestFailed(
                codes.UNKNOWN, f"{path}: an answer of another shape: {error}"
            ) from error

    async def fetch(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        urgency: Urgency,
        *,
        signed: bool = True,
        seconds: float = READ_SECONDS,
        sent: Sent | None = None,
    ) -> bytes:
        """Send one request; returns the body of its success. Raises as ``send`` does."""
        if signed and not self._is_synced:
            await self._sync_first()
        await self.pacer.take(urgency, costs(self.market, method, path, params))
        hand_over = _HandOver(self._clock, sent)
        data: dict[str, Any] = dict(params)
        data["requests_params"] = {"trace_request_ctx": hand_over, "timeout": _deadline(seconds)}
        try:
            return await self._client.ask_api(method, path, data, signed=signed)
        except BinanceAPIException as error:
            raise await self._judge(path, error) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            # A request without a body tells no hand-over; it is a question and may be asked again.
            verdict = codes.UNKNOWN if hand_over.done else codes.NOT_SENT
            text = str(error) or type(error).__name__
            raise RequestFailed(verdict, f"{path}: no answer: {text}") from error

    async def _sync_first(self) -> None:
        """Set the clock before anything is signed; what fails here was not sent."""
        try:
            await self._sync_together()
        except RequestFailed as error:
            verdict = error.verdict
            if verdict.outcome is Outcome.UNKNOWN:
                verdict = codes.NOT_SENT
            raise RequestFailed(verdict, str(error), error.code) from error

    async def _sync_together(self) -> None:
        """Set the clock; all that wait for it at a time wait for the same answers."""
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self.sync(), name=f"{self.pacer.name}.sync")
            self._syncing.add_done_callback(_heed)
        await asyncio.shield(self._syncing)

    async def _judge(self, path: str, error: BinanceAPIException) -> RequestFailed:
        """Say what a refusal means, and obey it: silence, another clock."""
        code = str(error.code) if error.code else ""
        status = int(error.status_code)
        wait_ns = 0
        if code != codes.ORDER_RATE:
            retry_after = error.response.headers.get("Retry-After")
            wait_ns = self.pacer.note_status(status, retry_after)
        message = error.message if code else "an error without a code of Binance's"
        verdict = codes.judge(self.market, status, code, str(message), wait_ns)
        if verdict.skewed:
            try:
                await self._sync_together()
            except RequestFailed as failure:
                log.warning("binance.clock_not_set", market=self.market, reason=str(failure))
        code = code or str(status)
        return RequestFailed(verdict, f"{path}: {code} {message}", code)

    def _note_headers(self, response: aiohttp.ClientResponse) -> None:
        """Believe the venue's count of what we used."""
        for header, budget in {**WEIGHT, **NEW_ORDER_HEADERS[self.market]}.items():
            text = response.headers.get(header, "")
            if text.isdecimal():
                self.pacer.note_used(budget, int(text), self._resets_in_ns(budget))

    def _resets_in_ns(self, budget: str) -> int | None:
        """The weight's minute is the clock's own (USD-M and spot, "Limits")."""
        if budget != "weight":
            return None
        return NS_PER_SECOND * 60 - self.venue_ms() * NS_PER_MS % (NS_PER_SECOND * 60)

    def signed_call(self, method: str, request_id: str) -> str:
        """Return a signed message of the WebSocket API (spot, "Request security").

        The signature is over the parameters in alphabetical order.
        """
        params = {"apiKey": self._key, "recvWindow": RECV_WINDOW_MS, "timestamp": self.venue_ms()}
        payload = urlencode(params)
        mac = hmac.new(self._secret.encode(), payload.encode(), hashlib.sha256)
        call = {
            "id": request_id,
            "method": method,
            "params": {**params, "signature": mac.hexdigest()},
        }
        return msgspec.json.encode(call).decode()


def _heed(syncing: asyncio.Task[None]) -> None:
    """Who waited for it may be gone by now: then nobody asks what became of it."""
    if not syncing.cancelled():
        syncing.exception()
