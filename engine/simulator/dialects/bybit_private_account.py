"""One Bybit account: its key, its desk, and what is told of it on the stream."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from engine.model.events import BalancesReported, FundingPaid, OrderFilled, OrderUpdated
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO
from engine.model.order import Fill, OrderSide
from engine.simulator.books import Report
from engine.simulator.desk import Desk
from engine.simulator.dialects.bybit_private_keys import ApiKey
from engine.simulator.dialects.bybit_private_lists import Lists, Settled
from engine.simulator.dialects.bybit_private_orders import Orders
from engine.simulator.dialects.bybit_private_params import Params
from engine.simulator.dialects.bybit_private_rows import execution_event, order_event
from engine.simulator.dialects.bybit_private_settings import Settings
from engine.simulator.dialects.bybit_private_wallet import Wallet, mark_text
from engine.simulator.key_changes import KeyChanges

Teller = Callable[[str, Market | None, list[dict[str, Any]]], None]
"""Told a topic, the market (None for both) and the rows of an event."""


class BybitAccount:
    """The account that the signed requests and the private stream are about.

    Attributes:
        tellers: told every event, in order.
    """

    venue = "bybit"

    def __init__(self, desk: Desk, key: ApiKey) -> None:
        self.key = key
        self.tellers: list[Teller] = []
        self.orders = Orders(desk)
        self.lists = Lists(desk, self.orders)
        self._wallet = Wallet(desk)
        self.settings = Settings(desk, self.orders, self._wallet)
        self._desk = desk
        self._held: dict[tuple[InstrumentId, Side | None], Decimal] = {}
        desk.listeners.append(self._hear)

    def now_ms(self) -> int:
        """Return venue time."""
        return self._desk.place.time.now_ms()

    def change_key(self, changes: KeyChanges) -> dict[str, Any]:
        """Change the key; returns what the venue tells of it now."""
        self.key.change(changes)
        return self.key.describe(self.now_ms())

    def query_key(self, params: Params) -> dict[str, Any]:
        """Answer what the key may do."""
        return self.key.describe(self.now_ms())

    # Events

    def _hear(self, report: Report) -> None:
        if isinstance(report, OrderUpdated):
            self._on_order(report)
        elif isinstance(report, OrderFilled):
            self._on_fill(report.fill)
        elif isinstance(report, FundingPaid):
            self._on_funding(report)
        elif isinstance(report, BalancesReported):
            coins = {balance.asset for balance in report.balances}
            self._tell("wallet", None, [self._wallet.account(coins)])

    def _on_order(self, update: OrderUpdated) -> None:
        order = self._desk.order(update.venue_order_id or "")
        if order is None:
            return
        instrument = order.order.instrument
        words = self.orders.words(order.venue_order_id)
        self._tell("order", instrument.id.market, [order_event(order, words)])
        self._tell_position(instrument)

    def _on_fill(self, fill: Fill) -> None:
        market = fill.instrument.id.market
        if market is Market.LINEAR:
            self.lists.closed[fill.venue_trade_id] = self._follow(fill)
        row = self.lists.execution(fill)
        self._tell("execution", market, [execution_event(row, market)])
        self._tell_position(fill.instrument)

    def _on_funding(self, paid: FundingPaid) -> None:
        key = paid.instrument.id
        held = sum((qty for (each, _), qty in self._held.items() if each == key), ZERO)
        mark = mark_text(self._desk, key)
        self.lists.settled[paid.venue_trade_id] = Settled(paid, held, mark)
        row = self.lists.execution(paid)
        self._tell("execution", Market.LINEAR, [execution_event(row, Market.LINEAR)])

    def _follow(self, fill: Fill) -> Decimal:
        """Net an execution into the position that it changed; returns how much it closed."""
        key = (fill.instrument.id, fill.leg)
        before = self._held.get(key, ZERO)
        signed = fill.qty if fill.side is OrderSide.BUY else -fill.qty
        self._held[key] = before + signed
        return min(abs(before), fill.qty) if before * signed < ZERO else ZERO

    def _tell_position(self, instrument: Instrument) -> None:
        """Positions are told at every action on an order, changed or not (docs, position)."""
        if instrument.id.market is Market.LINEAR:
            rows = self._wallet.positions(instrument, renamed=True)
            self._tell("position", Market.LINEAR, rows)

    def _tell(self, topic: str, market: Market | None, rows: list[dict[str, Any]]) -> None:
        for teller in self.tellers:
            teller(topic, market, rows)
