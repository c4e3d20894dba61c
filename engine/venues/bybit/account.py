"""Bybit's unified account: orders, look-ups and readings through pybit, and its private stream.

One request a call, none of them repeated: the table of ``codes`` says what an error means.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

import structlog

from engine.model.events import (
    BalancesReported,
    OrderFilled,
    OrderLookedUp,
    OrderUpdated,
    VenuePosition,
)
from engine.model.instrument import Instrument, Market
from engine.model.order import FINAL, Order, OrderStatus
from engine.ports import BrokerEvent, Clock
from engine.venues.account import AccountFacts, Outcome, RequestFailed, Sent, Urgency, Verdict
from engine.venues.account_stream import AccountStream
from engine.venues.bybit.account_facts import examine
from engine.venues.bybit.account_finding import looked_up
from engine.venues.bybit.account_holdings import Holdings
from engine.venues.bybit.account_preparing import prepare
from engine.venues.bybit.account_rates import lacks_rate
from engine.venues.bybit.account_reading import PROBE_SYMBOL, Reading
from engine.venues.bybit.account_requests import cancel_body, identified, named, order_body
from engine.venues.bybit.client import BybitClient, Keys
from engine.venues.bybit.client_budgets import (
    CANCEL,
    CREATE,
    HISTORY,
    INSTRUMENTS,
    KEY,
    OPEN_ORDERS,
)
from engine.venues.bybit.codes import GONE, NOT_SENT, PARAMETER
from engine.venues.bybit.instruments import read_linear, read_spot
from engine.venues.bybit.parse import ExecutionRow, KeyInfo, OrderIds, OrderRow, Rows
from engine.venues.bybit.parse_events import (
    VENUE,
    Unreadable,
    market_of,
    read_balances,
    read_order,
)
from engine.venues.bybit.stream import PrivateDialect
from engine.venues.catalog import Lookup
from engine.venues.filters import NotOffered, OddFilter
from engine.venues.pacing import urgency_of
from engine.venues.transport import Connector
from engine.venues.urls import BybitUrls
from engine.venues.websockets_transport import WebsocketsConnector

WARM_SECONDS = 20.0
"""How often the time is asked for: servers close connections that are idle for a minute."""

WARM_CONNECTIONS = 2
CLOCK_SAMPLES = 3
CANCEL_LOOKS_SECONDS = (0.0, 0.1, 0.3)
"""Pauses before each look at what became of a cancelled order; the venue answers before it acts."""

log = structlog.get_logger(__name__)


class BybitAccount:
    """Implements ``engine.venues.account.VenueAccount`` and ``Examined``.

    Args:
        lookup: finds instruments of executions that are not ours.
        leverage: set on an instrument before our first entry there.
        margin_mode: of the whole account; None leaves it as it is.
    """

    venue = VENUE

    def __init__(
        self,
        urls: BybitUrls,
        key: str,
        secret: str,
        clock: Clock,
        lookup: Lookup,
        *,
        leverage: int,
        margin_mode: Literal["isolated", "cross"] | None,
        connector: Connector | None = None,
    ) -> None:
        self._urls = urls
        self._keys = Keys(key, secret)
        self._clock = clock
        self._leverage = leverage
        self._margin_mode = margin_mode
        self._connector = connector or WebsocketsConnector(clock.monotonic_ns)
        self._client = BybitClient(urls.rest, self._keys, clock, public_url=urls.rest_public)
        self._holdings = Holdings()
        self._reading = Reading(self._client, clock, lookup, self._holdings)
        self._unvalued: asyncio.Queue[OrderFilled] = asyncio.Queue()

    async def open(self) -> None:
        """Set the clock by the venue's, and read the position mode and what the key may do."""
        await self._client.set_clock(CLOCK_SAMPLES)
        key: KeyInfo = await self._client.ask(KEY, {})
        hedged = await self._reading.probe(PROBE_SYMBOL)
        self._holdings.replace(await self._reading.positions())
        log.info(
            "bybit.opened",
            hedged=hedged,
            read_only=bool(key.read_only),
            clock_ms=round(self._client.time.ahead_ms(), 1),
        )

    async def close(self) -> None:
        """Give sessions and threads back; requests that were sent are not waited for."""
        self._client.close()

    async def examine(self) -> AccountFacts:
        """Ask about clock, key, mode, balances and fees; raises RequestFailed."""
        return await examine(self._client, self._reading)

    async def prepare(self, instrument: Instrument, *, is_alone: bool) -> None:
        """Set margin mode and leverage, and read both back; see ``VenueAccount.prepare``."""
        if instrument.id.market is Market.LINEAR and is_alone:
            await prepare(
                self._client, self._reading, instrument, self._leverage, self._margin_mode
            )

    def begin(self, order: Order, sent: Sent) -> Coroutine[Any, Any, Sequence[BrokerEvent]] | None:
        """Send an order within this call, where position mode and clock are known."""
        id_ = order.instrument.id
        hedged = False if id_.market is Market.SPOT else self._holdings.is_hedged(id_.symbol)
        if hedged is None:
            return None
        try:
            body = order_body(order, hedged=hedged)
        except Unreadable:
            return None
        begun = self._client.begin(CREATE, body, urgency_of(order), sent)
        return None if begun is None else self._taken(order, begun)

    async def place(self, order: Order, sent: Sent) -> Sequence[BrokerEvent]:
        """Send an order, once. What is answered is that it was taken, not that it was filled."""
        hedged = await self._is_hedged(order)
        try:
            body = order_body(order, hedged=hedged)
        except Unreadable as error:
            raise RequestFailed(Verdict(Outcome.REJECTED), str(error)) from None
        return await self._taken(order, self._client.ask(CREATE, body, urgency_of(order), sent))

    async def _taken(
        self, order: Order, asked: Coroutine[Any, Any, OrderIds]
    ) -> Sequence[BrokerEvent]:
        try:
            ids = await asked
        except RequestFailed as error:
            if error.code == PARAMETER:
                # Perhaps the position mode was switched; the next order asks for it first.
                self._holdings.forget_mode(order.instrument.id.symbol)
            raise
        return [
            OrderUpdated(
                order.client_order_id,
                OrderStatus.ACKNOWLEDGED,
                self._clock.now_ns(),
                venue_order_id=ids.order_id or None,
            )
        ]

    async def _is_hedged(self, order: Order) -> bool:
        """Tell the position mode of an order's instrument, asking where it is not known."""
        symbol = order.instrument.id.symbol
        if order.instrument.id.market is Market.SPOT:
            return False
        known = self._holdings.is_hedged(symbol)
        if known is not None:
            return known
        try:
            return await self._reading.probe(symbol, urgency_of(order))
        except RequestFailed as error:
            if error.verdict.outcome is not Outcome.UNKNOWN:
                raise
            raise RequestFailed(NOT_SENT, f"the position mode is not known: {error}") from None

    async def cancel(self, order: Order) -> Sequence[BrokerEvent]:
        """Cancel a resting order; returns its end, fills first. Nothing where it is not known.

        Nothing, too, while the venue has not carried it out: the stream tells it then.
        """
        try:
            await self._client.ask(CANCEL, cancel_body(order), urgency_of(order))
        except RequestFailed as error:
            if error.code not in GONE:
                raise
        for seconds in CANCEL_LOOKS_SECONDS:
            await asyncio.sleep(seconds)
            found = await self.find(order)
            if not found.found:
                return []
            if found.status in FINAL:
                return self._end(found)
        return []

    def _end(self, found: OrderLookedUp) -> Sequence[BrokerEvent]:
        fills = [OrderFilled(fill, found.at_ns) for fill in found.fills]
        end = OrderUpdated(
            found.client_order_id,
            found.status or OrderStatus.UNKNOWN,
            found.at_ns,
            venue_order_id=found.venue_order_id,
            message=found.message,
        )
        return [*fills, end]

    async def find(self, order: Order) -> OrderLookedUp:
        """Look an order up in open orders, then history, and in executions in any case."""
        params = identified(order)
        orders: Rows[OrderRow] = await self._client.ask(OPEN_ORDERS, params, Urgency.LOOK_UP)
        if not orders.rows:
            orders = await self._client.ask(HISTORY, params, Urgency.LOOK_UP)
        executions = await self._reading.executions_of(params)
        rows = [row for row in orders.rows if row.order_link_id == order.client_order_id]
        events = [self._reading.event(row, order.instrument) for row in executions]
        fills = [
            (await self._reading.valued(event)).fill
            for event in events
            if isinstance(event, OrderFilled)
        ]
        return looked_up(order, rows, executions, fills, self._clock.now_ns())

    async def read(self, instruments: Sequence[Instrument]) -> Sequence[BrokerEvent]:
        """Read executions and settlements since the last reading, then the account."""
        return await self._reading.read(instruments)

    async def filters(self, instrument: Instrument) -> Instrument:
        """Read an instrument's filters as they are now."""
        listed: Rows[dict[str, Any]] = await self._client.ask(INSTRUMENTS, named(instrument))
        read = read_linear if instrument.id.market is Market.LINEAR else read_spot
        try:
            return next(read(row) for row in listed.rows if row["symbol"] == instrument.id.symbol)
        except StopIteration:
            cause = "not listed"
        except (NotOffered, OddFilter, KeyError, TypeError, ValueError) as error:
            cause = repr(error)
        raise RequestFailed(Verdict(Outcome.REJECTED), f"filters of {instrument.id}: {cause}")

    def positions(self) -> Sequence[VenuePosition]:
        """The venue's positions as last read or streamed."""
        return self._holdings.positions()

    async def run(self, sink: Callable[[BrokerEvent], None]) -> None:
        """Keep clock and private stream alive until cancelled; tell what happens."""

        def tell(event: BrokerEvent) -> None:
            if isinstance(event, OrderFilled) and lacks_rate(event.fill):
                self._unvalued.put_nowait(event)
            else:
                sink(event)

        dialect = PrivateDialect(self._urls.ws_private, self._keys, self._client, self.hear)
        stream = AccountStream(VENUE, dialect, self._connector, self._clock, tell)
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.run())
            group.create_task(self._keep_clock())
            group.create_task(self._value_fees(sink))

    async def _keep_clock(self) -> None:
        while True:
            await asyncio.sleep(WARM_SECONDS)
            try:
                await self._client.set_clock(WARM_CONNECTIONS)
            except RequestFailed as error:
                log.warning("bybit.clock_not_set", reason=str(error))

    async def _value_fees(self, sink: Callable[[BrokerEvent], None]) -> None:
        while True:
            sink(await self._reading.valued(await self._unvalued.get()))

    def hear(self, topic: str, rows: Sequence[Any]) -> Sequence[BrokerEvent]:
        """Say what the rows of a topic of the private stream mean; raises Unreadable."""
        now_ns = self._clock.now_ns()
        if topic == "wallet":
            return [BalancesReported(read_balances(rows), now_ns)]
        if topic == "position":
            for row in rows:
                if market_of(row.category) is Market.LINEAR:
                    self._holdings.note(row)
            return []
        events: list[BrokerEvent | None]
        if topic == "order":
            events = [read_order(row, now_ns) for row in rows if market_of(row.category)]
        else:
            events = [self._executed(row) for row in rows]
        return [event for event in events if event is not None]

    def _executed(self, row: ExecutionRow) -> BrokerEvent | None:
        market = market_of(row.category)
        instrument = self._reading.instrument(market, row.symbol) if market else None
        return self._reading.event(row, instrument) if instrument else None
