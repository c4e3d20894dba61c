"""Readings of a Bybit account: what was executed since the last one, and what is there now.

Positions and wallet are read before the executions, so that none that is in them is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from engine.model.events import AccountReported, OrderFilled
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.ports import BrokerEvent, Clock
from engine.venues.account import Outcome, RequestFailed, Urgency, Verdict
from engine.venues.bybit.account_holdings import Holdings
from engine.venues.bybit.account_rates import Rates
from engine.venues.bybit.client import BybitClient
from engine.venues.bybit.client_budgets import EXECUTIONS, POSITIONS, WALLET, Endpoint
from engine.venues.bybit.parse import ExecutionRow, PositionRow, Rows, WalletRow
from engine.venues.bybit.parse_events import (
    FUNDING,
    VENUE,
    moment_ns,
    read_balances,
    read_fill,
    read_funding,
)
from engine.venues.catalog import Lookup

FIRST_BACK_MS = 86_400_000
OVERLAP_MS = 60_000
"""Executions may be listed late; those told twice have one id."""

PAGE_EXECUTIONS = 100
PAGE_POSITIONS = 200
MAX_PAGES = 200
"""A venue that hands out cursors for ever is broken, not long."""

SETTLED_IN = ("USDT", "USDC")
PROBE_SYMBOL = "BTCUSDT"
"""Asked for the position mode: with a symbol the venue tells its legs also where they are empty."""

log = structlog.get_logger(__name__)


class Reading:
    """Reads an account, page after page."""

    def __init__(
        self, client: BybitClient, clock: Clock, lookup: Lookup, holdings: Holdings
    ) -> None:
        self._client = client
        self._clock = clock
        self._lookup = lookup
        self._holdings = holdings
        self._rates = Rates(client)
        self._since_ms: int | None = None
        self._named: set[InstrumentId] = set()

    async def read(self, instruments: Sequence[Instrument]) -> Sequence[BrokerEvent]:
        """Read executions since the last reading, then what is there; see ``VenueAccount.read``.

        Raises:
            RequestFailed: a page could not be had; the next reading begins where this one did.
        """
        as_of_ns = self._clock.monotonic_ns()
        now_ms = self._client.time.now_ms()
        since_ms = now_ms - FIRST_BACK_MS if self._since_ms is None else self._since_ms
        positions = await self.positions()
        hedged = await self.probe(PROBE_SYMBOL)
        wallet: Rows[WalletRow] = await self._client.ask(WALLET, {"accountType": "UNIFIED"})
        known = {instrument.id: instrument for instrument in instruments}
        told: list[BrokerEvent] = []
        for market in Market:
            rows = await self._executions(market, {"startTime": since_ms})
            told += await self._tell(market, rows, known)
        self._since_ms = now_ms - OVERLAP_MS
        self._holdings.replace(positions)
        report = AccountReported(
            venue=VENUE,
            positions=tuple(self._holdings.positions()),
            balances=read_balances(wallet.rows),
            at_ns=self._clock.now_ns(),
            as_of_ns=as_of_ns,
            hedged=hedged or any(row.position_idx for row in positions),
        )
        return [*told, report]

    async def positions(self) -> list[PositionRow]:
        """Read what is open on linear.

        Raises:
            RequestFailed: a page could not be had.
        """
        found: list[PositionRow] = []
        for coin in SETTLED_IN:
            params = {"category": str(Market.LINEAR), "settleCoin": coin, "limit": PAGE_POSITIONS}
            found += await self.pages(POSITIONS, params, Urgency.HOUSEKEEPING)
        return found

    async def probe(self, symbol: str, urgency: Urgency = Urgency.HOUSEKEEPING) -> bool:
        """Tell whether a linear symbol has two legs, and remember it.

        Raises:
            RequestFailed: the venue did not tell.
        """
        rows = await self.legs(symbol, urgency)
        return any(row.position_idx for row in rows)

    async def legs(self, symbol: str, urgency: Urgency) -> Sequence[PositionRow]:
        """Read the legs of a linear symbol, empty ones too.

        Raises:
            RequestFailed: the venue did not tell.
        """
        params = {"category": str(Market.LINEAR), "symbol": symbol}
        answer: Rows[PositionRow] = await self._client.ask(POSITIONS, params, urgency)
        for row in answer.rows:
            self._holdings.note(row)
        return answer.rows

    async def executions_of(self, identified: Mapping[str, Any]) -> list[ExecutionRow]:
        """Read all executions of one order.

        Raises:
            RequestFailed: a page could not be had.
        """
        params = {**identified, "limit": PAGE_EXECUTIONS}
        rows: list[ExecutionRow] = await self.pages(EXECUTIONS, params, Urgency.LOOK_UP)
        return [row for row in rows if row.order_link_id == identified["orderLinkId"]]

    async def _executions(self, market: Market, params: Mapping[str, Any]) -> list[ExecutionRow]:
        asked = {"category": str(market), "limit": PAGE_EXECUTIONS, **params}
        rows: list[ExecutionRow] = await self.pages(EXECUTIONS, asked, Urgency.HOUSEKEEPING)
        return sorted(rows, key=lambda row: (moment_ns(row.exec_time), row.seq))

    async def pages(
        self, endpoint: Endpoint, params: Mapping[str, Any], urgency: Urgency
    ) -> list[Any]:
        """Read a list to its end.

        Raises:
            RequestFailed: a page could not be had.
        """
        found: list[Any] = []
        cursor = ""
        for _ in range(MAX_PAGES):
            asked = {**params, "cursor": cursor} if cursor else params
            page: Rows[Any] = await self._client.ask(endpoint, asked, urgency)
            found += page.rows
            cursor = page.next_page_cursor or ""
            # Some lists name a next page even after the last row of the last one.
            if not cursor or not page.rows:
                return found
        raise RequestFailed(
            Verdict(Outcome.UNKNOWN), f"{endpoint.name}: more than {MAX_PAGES} pages"
        )

    async def _tell(
        self,
        market: Market,
        rows: Sequence[ExecutionRow],
        known: Mapping[InstrumentId, Instrument],
    ) -> list[BrokerEvent]:
        told: list[BrokerEvent] = []
        for row in rows:
            instrument = known.get(InstrumentId(VENUE, market, row.symbol))
            instrument = instrument or self.instrument(market, row.symbol)
            event = self.event(row, instrument) if instrument else None
            if isinstance(event, OrderFilled):
                event = await self.valued(event)
            if event is not None:
                told.append(event)
        return told

    async def valued(self, event: OrderFilled) -> OrderFilled:
        """Add what a fee in a third asset was worth, where that can be had."""
        return OrderFilled(await self._rates.value(event.fill), event.at_ns)

    def instrument(self, market: Market, symbol: str) -> Instrument | None:
        """Find an instrument; one that is in no list is named in the log, once."""
        found = self._lookup(VENUE, market, symbol)
        unknown = InstrumentId(VENUE, market, symbol)
        if found is None and unknown not in self._named:
            self._named.add(unknown)
            log.warning("bybit.execution_skipped", instrument=str(unknown), reason="not listed")
        return found

    def event(self, row: ExecutionRow, instrument: Instrument) -> BrokerEvent | None:
        """Say what an execution is; None of a kind that is not perpetuals' or spot's."""
        if row.exec_type == FUNDING:
            return read_funding(row, instrument)
        hedged = self._holdings.is_hedged(row.symbol) is True
        linear = instrument.id.market is Market.LINEAR
        fill = read_fill(row, instrument, hedged=hedged and linear)
        if fill is None:
            log.info("bybit.execution_skipped", instrument=str(instrument.id), kind=row.exec_type)
            return None
        return OrderFilled(fill, self._clock.now_ns())
