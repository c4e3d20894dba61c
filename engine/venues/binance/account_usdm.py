"""Binance's USD-M wallet, positions and orders (USD-M documentation, "Trade" and "Account")."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from engine.clock import NS_PER_MS
from engine.model.events import Balance, FundingPaid, VenuePosition
from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO, plain
from engine.model.order import Fill, Order, OrderSide
from engine.ports import BrokerEvent, Clock
from engine.venues.account import Outcome, RequestFailed, Sent, Urgency, Verdict
from engine.venues.binance import instruments
from engine.venues.binance.account_backstops import Backstops
from engine.venues.binance.account_fees import FeeRates
from engine.venues.binance.account_orders import Orders
from engine.venues.binance.account_owners import MOST_ROWS, OrderBook, Owners
from engine.venues.binance.account_spot import VENUE, picked
from engine.venues.binance.account_trades import FIRST_BACK_MS, OVERLAP_MS, Trades, TradeSource
from engine.venues.binance.client import READ_SECONDS, MarketRest
from engine.venues.binance.codes import KEY_OR_PERMISSION, NOT_SENT, NOTHING_TO_CHANGE, WRONG_MODE
from engine.venues.binance.parse import (
    LEGS,
    AccountConfig,
    Done,
    Income,
    LeverageSet,
    OrderRow,
    PositionRow,
    SymbolConfig,
    UsdmBalance,
    UsdmTrade,
    order_status,
)
from engine.venues.catalog import Lookup
from engine.venues.pacing import urgency_of

WEEK_MS = 7 * 24 * 3_600_000
ORDER_PATH = "/fapi/v1/order"
FILLS_SECONDS = 2.0
MARGIN_TYPES: Mapping[str, str] = {"isolated": "ISOLATED", "cross": "CROSSED"}

log = structlog.get_logger(__name__)


def leg_of(order: Order) -> str:
    """Return the leg that an order is for: what it opens, or what it closes."""
    opens = order.purpose in {Purpose.ENTRY, Purpose.ADD}
    is_long = (order.side is OrderSide.BUY) is opens
    return "LONG" if is_long else "SHORT"


class UsdmSide:
    """The futures half of the account.

    Attributes:
        permitted: set while the key may use this market.
        is_denied: the venue said that it may not.
        hedged: long and short are kept apart; None until it is read.
        backstops: conditional orders, which are another kind there.
    """

    def __init__(
        self,
        rest: MarketRest,
        fees: FeeRates,
        clock: Clock,
        lookup: Lookup,
        leverage: int,
        margin_mode: str | None,
    ) -> None:
        self.rest = rest
        self.owners = Owners()
        self.permitted = asyncio.Event()
        self.is_denied = False
        self.hedged: bool | None = None
        source = TradeSource("/fapi/v1/userTrades", list[UsdmTrade], WEEK_MS)
        trades = Trades(rest, source, self.owners, fees)
        self.orders = Orders(rest, OrderBook(rest, "/fapi/v1"), self.owners, trades, clock)
        self.backstops = Backstops(self.orders, clock)
        self.fees = fees
        self._lookup = lookup
        self._leverage = leverage
        self._margin_type = MARGIN_TYPES[margin_mode] if margin_mode else None
        self._positions: dict[tuple[str, str], VenuePosition] = {}
        self._funding_until_ms: int | None = None

    async def open(self) -> RequestFailed | None:
        """Set the clock, and read the mode; returns why the key may not use the market.

        Raises:
            RequestFailed: the venue could not be asked.
        """
        await self.rest.sync()
        try:
            await self.read_mode()
        except RequestFailed as error:
            if error.code not in KEY_OR_PERMISSION:
                raise
            self.is_denied = True
            self.permitted.clear()
            return error
        self.is_denied = False
        self.permitted.set()
        return None

    async def read_mode(self) -> bool:
        """Read whether long and short are kept apart."""
        config = await self.rest.get("/fapi/v1/accountConfig", {}, AccountConfig, Urgency.LOOK_UP)
        self.hedged = config.dual_side_position
        return self.hedged

    async def _mode(self) -> bool:
        """Read the mode for an order that waits for it: what fails here was not sent."""
        try:
            return await self.read_mode()
        except RequestFailed as error:
            if error.verdict.outcome is Outcome.UNKNOWN:
                raise RequestFailed(NOT_SENT, str(error), error.code) from error
            raise

    async def place(self, order: Order, sent: Sent) -> Sequence[BrokerEvent]:
        """Send an order, once; in the mode of the account, which a refusal has read again."""
        hedged = await self._mode() if self.hedged is None else self.hedged
        terms = _terms(order, hedged=hedged)
        try:
            if order.purpose is Purpose.BACKSTOP:
                return await self.backstops.place(order, terms, sent)
            return await self._place(order, terms, sent)
        except RequestFailed as error:
            if error.code == WRONG_MODE:
                self.hedged = None
            raise

    async def _place(
        self, order: Order, terms: Mapping[str, str], sent: Sent
    ) -> Sequence[BrokerEvent]:
        params = {**terms, "type": "MARKET", "newClientOrderId": order.client_order_id}
        params["newOrderRespType"] = "RESULT"
        row = await self.rest.send(
            "post", ORDER_PATH, params, OrderRow, urgency_of(order), sent=sent
        )
        self.owners.put(row.symbol, row.order_id, order.client_order_id)
        fills = await self._fills_of(order, row)
        return self.orders.events(order.client_order_id, fills, order_status(row.status), row)

    async def _fills_of(self, order: Order, row: OrderRow) -> list[Fill]:
        """The executions of an order just placed; none where they cannot be had yet.

        The order was placed: what is missing is looked up, told by the stream, or both.
        """
        try:
            async with asyncio.timeout(FILLS_SECONDS):
                return await self.orders.trades.of_order(
                    order.instrument, row, order.client_order_id, Urgency.LOOK_UP
                )
        except (RequestFailed, TimeoutError) as error:
            log.info("binance.fills_later", order=order.client_order_id, reason=str(error))
            return []

    async def prepare(self, instrument: Instrument, *, is_alone: bool) -> None:
        """Set margin type (if told) and leverage as ``VenueAccount.prepare`` says.

        Raises:
            RequestFailed: refused, or what is read back is something else.
        """
        symbol = instrument.id.symbol
        if not is_alone:
            return
        if not self._is_set(config := await self._config(symbol)):
            if self._margin_type is not None and config.margin_type != self._margin_type:
                await self._set_margin_type(symbol, self._margin_type)
            if config.leverage != self._leverage:
                params = {"symbol": symbol, "leverage": str(self._leverage)}
                await self.rest.send(
                    "post", "/fapi/v1/leverage", params, LeverageSet, Urgency.ORDER
                )
            if not self._is_set(config := await self._config(symbol)):
                text = f"leverage is {config.leverage}, margin {config.margin_type}"
                raise RequestFailed(Verdict(Outcome.REJECTED), f"{symbol}: {text} after setting")

    def _is_set(self, config: SymbolConfig) -> bool:
        margin_fits = self._margin_type in (None, config.margin_type)
        return margin_fits and config.leverage == self._leverage

    async def _config(self, symbol: str) -> SymbolConfig:
        params = {"symbol": symbol}
        rows = await self.rest.get(
            "/fapi/v1/symbolConfig", params, list[SymbolConfig], Urgency.ORDER
        )
        for row in rows:
            if row.symbol == symbol:
                return row
        raise RequestFailed(Verdict(Outcome.REJECTED), f"{symbol}: its settings are not told")

    async def _set_margin_type(self, symbol: str, margin_type: str) -> None:
        params = {"symbol": symbol, "marginType": margin_type}
        try:
            await self.rest.send("post", "/fapi/v1/marginType", params, Done, Urgency.ORDER)
        except RequestFailed as error:
            if error.code != NOTHING_TO_CHANGE:
                raise

    def positions(self) -> Sequence[VenuePosition]:
        """Return the positions as last read or streamed."""
        return tuple(self._positions.values())

    async def read_positions(self) -> Sequence[VenuePosition]:
        """Read all positions that are open."""
        rows = await self.rest.get("/fapi/v3/positionRisk", {}, list[PositionRow])
        self._positions = {}
        for row in rows:
            self.note_position(row)
        return self.positions()

    def note_position(self, row: PositionRow) -> None:
        """Keep a position as told; without a liquidation price the last one stays."""
        key = (row.symbol, row.position_side)
        before = self._positions.pop(key, None)
        if row.position_amt == ZERO:
            return
        netted = Side.LONG if row.position_amt > ZERO else Side.SHORT
        side = LEGS.get(row.position_side, netted)
        price = row.liquidation_price if row.liquidation_price > ZERO else None
        if price is None and before is not None and before.side is side:
            price = before.liquidation_price
        instrument = InstrumentId(VENUE, Market.LINEAR, row.symbol)
        self._positions[key] = VenuePosition(
            instrument, side, abs(row.position_amt), row.entry_price, price
        )

    async def balances(self) -> list[Balance]:
        """Read the wallet. Free is what a new position may use of it, open ones deducted."""
        rows = await self.rest.get("/fapi/v3/balance", {}, list[UsdmBalance])
        found = []
        for row in rows:
            # Gains not realised yet may be used as margin too, but are no part of the wallet.
            free = min(max(row.available_balance, ZERO), max(row.balance, ZERO))
            held = Balance(VENUE, row.asset, row.balance, free, row.balance - free, Market.LINEAR)
            if row.balance != ZERO:
                found.append(held)
        return found

    async def executions(self, told: Sequence[Instrument]) -> tuple[list[Fill], Mapping[str, int]]:
        """Read executions as ``Orders.executions`` does, children of backstops under their ids."""
        for instrument in told:
            await self.backstops.learn_resting(instrument.id.symbol)
        return await self.orders.executions(told, self.backstops.learn_children)

    async def funding(self) -> tuple[list[FundingPaid], int]:
        """Read the settlements since the last reading, and until when (see ``funding_told``)."""
        until_ms = self.rest.venue_ms()
        last_ms = self._funding_until_ms or until_ms - FIRST_BACK_MS
        params = {"incomeType": "FUNDING_FEE", "limit": str(MOST_ROWS)}
        rows: dict[tuple[str, str], Income] = {}
        since_ms = last_ms - OVERLAP_MS
        while True:
            page = await self.rest.get(
                "/fapi/v1/income", {**params, "startTime": str(since_ms)}, list[Income]
            )
            rows |= {(row.symbol, str(row.tran_id)): row for row in page}
            if len(page) < MOST_ROWS or page[-1].time <= since_ms:
                return self._as_funding(rows), until_ms
            since_ms = page[-1].time

    def funding_told(self, until_ms: int | None) -> None:
        """Note that all settlements until then (ms) were told; None where none were read."""
        self._funding_until_ms = until_ms or self._funding_until_ms

    def _as_funding(self, rows: Mapping[tuple[str, str], Income]) -> list[FundingPaid]:
        found = []
        for (symbol, number), row in rows.items():
            instrument = self._lookup(VENUE, Market.LINEAR, symbol)
            if instrument is None:
                log.info("binance.funding_of_unknown", symbol=symbol)
                continue
            paid = FundingPaid(number, instrument, -row.income, row.time * NS_PER_MS)
            found.append(paid)
        return found

    async def filters(self, instrument: Instrument) -> Instrument:
        """Read an instrument's filters; the list comes whole."""
        body = await self.rest.fetch(
            "get",
            instruments.USDM_PATH,
            {},
            Urgency.LOOK_UP,
            signed=False,
            seconds=READ_SECONDS,
        )
        found, _ = await asyncio.to_thread(instruments.parse, body, Market.LINEAR)
        return picked(found, instrument)


def _terms(order: Order, *, hedged: bool) -> dict[str, str]:
    """What all kinds of orders say. In hedge mode the leg stands for reduce-only."""
    terms = {
        "symbol": order.instrument.id.symbol,
        "side": order.side.upper(),
        "quantity": plain(order.qty),
    }
    if hedged:
        terms["positionSide"] = leg_of(order)
    elif order.reduce_only:
        terms["reduceOnly"] = "true"
    return terms
