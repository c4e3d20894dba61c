"""USD-M user data: a private stream by listen key.

Source: USD-M documentation, "User Data Streams": a key lives for 60 minutes unless it is renewed;
PUT answers -1125 once it is gone, and the stream tells ``listenKeyExpired``.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from engine.clock import NS_PER_MS
from engine.model.events import AccountResumed, BalancesReported, OrderFilled, OrderUpdated
from engine.model.instrument import Market
from engine.model.money import ZERO
from engine.model.order import Fill, FillKind, OrderSide, OrderStatus, Refusal
from engine.ports import BrokerEvent, Clock
from engine.venues.account import RequestFailed, Urgency
from engine.venues.account_stream import NOTHING_HEARD, AccountStream, Heard
from engine.venues.binance.account_owners import is_ours, kind_of
from engine.venues.binance.account_spot import VENUE, not_permitted
from engine.venues.binance.account_usdm import UsdmSide
from engine.venues.binance.codes import NO_LISTEN_KEY
from engine.venues.binance.parse import LEGS, Done, ListenKey, PositionRow, order_status
from engine.venues.binance.parse_frames import (
    AccountUpdate,
    AlgoOrder,
    AlgoUpdate,
    OrderTradeUpdate,
    Told,
    UsdmOrder,
    read_frame,
)
from engine.venues.binance.stream import LIFE_SECONDS, PING_SECONDS, note_unused
from engine.venues.catalog import Lookup

KEY_PATH = "/fapi/v1/listenKey"
RENEW_SECONDS = 30 * 60.0
RENEW_AGAIN_SECONDS = 60.0
WALLET_PAUSE_SECONDS = 0.25
"""One change of the account tells several times; the wallet is read once for all."""

ALGO_ENDS = {
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
}

log = structlog.get_logger(__name__)


class UsdmDialect:
    """Implements ``engine.venues.account_stream.AccountDialect`` for USD-M.

    Attributes:
        unresolved: executions of orders that may be children of conditional ones of ours.
        wallet_changed: set when balances changed; what is free of them has to be read.
    """

    name = "binance.usdm.user"
    ping_seconds = PING_SECONDS
    silence_seconds: float | None = None
    life_seconds: float | None = LIFE_SECONDS

    def __init__(self, url: str, side: UsdmSide, lookup: Lookup, clock: Clock) -> None:
        self.unresolved: asyncio.Queue[UsdmOrder] = asyncio.Queue()
        self.wallet_changed = asyncio.Event()
        self._url = url
        self._side = side
        self._lookup = lookup
        self._clock = clock

    async def url(self) -> str:
        """Return the address with a listen key; asking for one renews it where there is one.

        First the backstops at rest are read: from here on their children can be told from orders
        of others.
        """
        if self._side.is_denied:
            raise not_permitted(Market.LINEAR)
        await self._side.backstops.learn_all_resting()
        told = await self._side.rest.send(
            "post", KEY_PATH, {}, ListenKey, Urgency.LOOK_UP, signed=False
        )
        return f"{self._url}/private/ws?listenKey={told.listen_key}"

    def hello(self) -> Sequence[str]:
        """Nothing: the key is in the address."""
        return ()

    def ping(self) -> str | None:
        """Nothing: the server pings."""
        return None

    def read(self, frame: bytes) -> Heard:
        """Read a frame; see ``read_frame`` for what it raises."""
        _, kind, told = read_frame(frame)
        if kind == "listenKeyExpired":
            return Heard(ended="the listen key has expired")
        if told is None:
            note_unused(self.name, kind)
            return NOTHING_HEARD
        return Heard(events=self._events(told))

    def _events(self, told: Told) -> tuple[BrokerEvent, ...]:
        if isinstance(told, OrderTradeUpdate):
            return self._order(told.o)
        if isinstance(told, AlgoUpdate):
            return self._algo(told.o)
        if isinstance(told, AccountUpdate):
            self._account(told)
        return ()

    def _order(self, told: UsdmOrder) -> tuple[BrokerEvent, ...]:
        owners = self._side.owners
        if owners.get(told.s, told.i) is None:
            if self._may_be_child(told):
                if _is_execution(told):
                    self.unresolved.put_nowait(told)
                return ()
            owners.put(told.s, told.i, told.c)
        return self.order_events(told)

    def _may_be_child(self, told: UsdmOrder) -> bool:
        is_somebodys = not is_ours(told.c) and kind_of(told.c) is FillKind.TRADE
        return is_somebodys and self._side.backstops.may_have_child(told.s)

    def order_events(self, told: UsdmOrder) -> tuple[BrokerEvent, ...]:
        """Return what an update says of an order, under the client id that is known for it."""
        name = self._side.owners.get(told.s, told.i) or told.c
        now_ns, events = self._clock.now_ns(), list[BrokerEvent]()
        fill = self._fill(told, name) if _is_execution(told) else None
        if fill is not None:
            events.append(OrderFilled(fill, now_ns))
        if is_ours(name):
            # Of a conditional order's child the venue's id is another than the order's.
            own = str(told.i) if name == told.c else None
            status = order_status(told.X)
            events.append(OrderUpdated(name, status, now_ns, told.z, venue_order_id=own))
        return tuple(events)

    def _fill(self, told: UsdmOrder, name: str) -> Fill | None:
        instrument = self._lookup(VENUE, Market.LINEAR, told.s)
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
            fee=told.n or ZERO,
            fee_asset=asset,
            time_ns=told.T * NS_PER_MS,
            client_order_id=name or None,
            venue_order_id=str(told.i),
            fee_rate=self._side.fees.now(instrument, asset, told.T),
            kind=kind_of(told.c),
            leg=LEGS.get(told.ps),
        )

    def _algo(self, told: AlgoOrder) -> tuple[BrokerEvent, ...]:
        self._side.backstops.note_state(told.s, told.caid, told.X, told.child_id)
        if not is_ours(told.caid) or told.child_id is not None:
            return ()  # the child's own updates tell what becomes of it
        now_ns = self._clock.now_ns()
        if told.X == "NEW":
            status = OrderStatus.ACKNOWLEDGED
        elif told.X in ALGO_ENDS:
            status = ALGO_ENDS[told.X]
        else:
            return ()
        refused = status is OrderStatus.REJECTED and "reduce" in told.rm.lower()
        refusal = Refusal.REDUCE_ONLY if refused else Refusal.OTHER
        update = OrderUpdated(
            told.caid, status, now_ns, ZERO, str(told.aid), told.rm or None, refusal
        )
        return (update,)

    def _account(self, told: AccountUpdate) -> None:
        for row in told.a.P:
            self._side.note_position(PositionRow(row.s, row.pa, row.ep, position_side=row.ps))
        if told.a.B:
            self.wallet_changed.set()

    async def resolve(self, sink: Callable[[BrokerEvent], None]) -> None:
        """Tell executions whose owner had to be asked for, until cancelled."""
        while True:
            told = await self.unresolved.get()
            try:
                if self._side.owners.get(told.s, told.i) is None:
                    await self._side.backstops.learn_children(told.s, {told.i})
            except RequestFailed as error:
                # Not told here: the account is read again, which tells it under its owner.
                log.warning("binance.owner_not_found", symbol=told.s, reason=str(error))
                sink(AccountResumed(VENUE, self._clock.now_ns()))
                continue
            self._side.owners.put(told.s, told.i, told.c)
            for event in self.order_events(told):
                sink(event)

    async def follow_wallet(self, sink: Callable[[BrokerEvent], None]) -> None:
        """Read the wallet after it changed, until cancelled."""
        while True:
            await self.wallet_changed.wait()
            await asyncio.sleep(WALLET_PAUSE_SECONDS)
            self.wallet_changed.clear()
            try:
                balances = await self._side.balances()
            except RequestFailed as error:
                log.info("binance.wallet_not_read", reason=str(error))
                continue
            sink(BalancesReported(tuple(balances), self._clock.now_ns()))

    async def renew(self, stream: AccountStream) -> None:
        """Renew the listen key until cancelled; a lost one opens a new session."""
        pause_seconds = RENEW_SECONDS
        while True:
            await asyncio.sleep(pause_seconds)
            try:
                await self._side.rest.send("put", KEY_PATH, {}, Done, Urgency.LOOK_UP, signed=False)
                pause_seconds = RENEW_SECONDS
            except RequestFailed as error:
                log.warning("binance.listen_key_not_renewed", reason=str(error))
                pause_seconds = RENEW_AGAIN_SECONDS
                if error.code == NO_LISTEN_KEY:
                    stream.restart("the listen key is gone")
                    pause_seconds = RENEW_SECONDS


def _is_execution(told: UsdmOrder) -> bool:
    return told.l > ZERO and told.t > 0
