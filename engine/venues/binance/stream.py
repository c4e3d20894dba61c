"""Spot user data by the WebSocket API: subscribed by a signature, without a listen key.

Source: spot documentation, "User Data Stream requests" and "User Data Stream events" (listen keys
of spot ended on 20 February 2026).
"""

from collections.abc import Sequence

import structlog

from engine.clock import NS_PER_MS
from engine.model.events import Balance, BalancesReported, OrderFilled, OrderUpdated
from engine.model.instrument import Market
from engine.model.order import Fill, OrderSide
from engine.ports import BrokerEvent, Clock
from engine.venues.account import RequestFailed
from engine.venues.account_stream import NOTHING_HEARD, Heard
from engine.venues.binance import codes
from engine.venues.binance.account_owners import is_ours, kind_of
from engine.venues.binance.account_spot import VENUE, SpotSide, not_permitted
from engine.venues.binance.parse import order_status
from engine.venues.binance.parse_frames import (
    UNUSED,
    AccountPosition,
    ExecutionReport,
    Frame,
    Told,
    read_frame,
)
from engine.venues.catalog import Lookup

LIFE_SECONDS = 23 * 3600.0
"""The venue ends a connection after 24 hours."""

PING_SECONDS = 60.0
SUBSCRIBE = "userDataStream.subscribe.signature"
REQUEST_ID = "user-data"
ENDS = frozenset({"eventStreamTerminated", "serverShutdown"})

log = structlog.get_logger(__name__)


class SpotDialect:
    """Implements ``engine.venues.account_stream.AccountDialect`` for the spot market."""

    name = "binance.spot.user"
    ping_seconds = PING_SECONDS
    silence_seconds: float | None = None
    life_seconds: float | None = LIFE_SECONDS

    def __init__(self, url: str, side: SpotSide, lookup: Lookup, clock: Clock) -> None:
        self._url = url
        self._side = side
        self._lookup = lookup
        self._clock = clock

    async def url(self) -> str:
        """Return the address, after the clock that the log-in is signed by was set."""
        if self._side.is_denied:
            raise not_permitted(Market.SPOT)
        await self._side.rest.sync()
        return self._url

    def hello(self) -> Sequence[str]:
        """Return the subscription, which is the log-in too."""
        return (self._side.rest.signed_call(SUBSCRIBE, REQUEST_ID),)

    def ping(self) -> str | None:
        """Nothing: the server pings."""
        return None

    def read(self, frame: bytes) -> Heard:
        """Read a frame; see ``read_frame`` for what it raises."""
        envelope, kind, told = read_frame(frame)
        if not kind:
            return self._answer(envelope)
        if kind in ENDS:
            return Heard(ended=kind)
        if told is None:
            note_unused(self.name, kind)
            return NOTHING_HEARD
        return Heard(events=self._events(told))

    def _answer(self, frame: Frame) -> Heard:
        """Read the answer to our subscription."""
        if frame.error is None and frame.status < 400:
            return Heard(ready=frame.id == REQUEST_ID)
        error = frame.error
        code, text = (str(error.code), error.msg) if error else ("", "")
        verdict = codes.judge(Market.SPOT, frame.status, code, text)
        return Heard(failure=RequestFailed(verdict, f"{SUBSCRIBE}: {code} {text}", code))

    def _events(self, told: Told) -> tuple[BrokerEvent, ...]:
        now_ns = self._clock.now_ns()
        if isinstance(told, AccountPosition):
            balances = [
                Balance(VENUE, row.a, row.f + row.l, row.f, row.l, Market.SPOT) for row in told.B
            ]
            return (BalancesReported(tuple(balances), now_ns),)
        if isinstance(told, ExecutionReport):
            return self._order(told, now_ns)
        return ()

    def _order(self, told: ExecutionReport, now_ns: int) -> tuple[BrokerEvent, ...]:
        name, events = told.own_id, list[BrokerEvent]()
        self._side.owners.put(told.s, told.i, name)
        fill = self._fill(told, name) if told.x == "TRADE" else None
        if fill is not None:
            events.append(OrderFilled(fill, now_ns))
        if is_ours(name):
            reason = None if told.r in ("", "NONE") else told.r
            status = order_status(told.X)
            events.append(OrderUpdated(name, status, now_ns, told.z, str(told.i), reason))
        return tuple(events)

    def _fill(self, told: ExecutionReport, name: str) -> Fill | None:
        instrument = self._lookup(VENUE, Market.SPOT, told.s)
        if instrument is None:
            log.info("binance.fill_of_unknown", symbol=told.s, trade=told.t)
            return None
        asset = told.N or instrument.quote
        return Fill(
            venue_trade_id=str(told.t),
            instrument=instrument,
            side=OrderSide(told.S.lower()),
            qty=told.l,
            price=told.L,
            fee=told.n,
            fee_asset=asset,
            time_ns=told.T * NS_PER_MS,
            client_order_id=name or None,
            venue_order_id=str(told.i),
            fee_rate=self._side.fees.now(instrument, asset, told.T),
            kind=kind_of(name),
        )


def note_unused(stream: str, kind: str) -> None:
    """Log a kind of event that nobody has judged yet."""
    if kind not in UNUSED:
        log.warning("binance.unknown_event", stream=stream, kind=kind)
