"""The books of a desk as its venue lists them: orders, executions, positions, balances.

Every change of the model is filed as it happens. What others traded on the account, and what was
liquidated, is filed as orders too, as the venues do.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from msgspec import UNSET

from engine.model.events import Balance, FundingPaid, OrderFilled
from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import InstrumentId, Market
from engine.model.money import ZERO, exact
from engine.model.order import Fill, FillKind, Order, OrderStatus
from engine.simulator.account import LinearPosition
from engine.simulator.desk_rows import DeskOrder, PositionRow
from engine.simulator.matching import Report, VenueModel, VenueOrder
from engine.simulator.terms import Terms

OTHERS = "others"
"""Actor of orders that did not come by a request: the owner's own trades, and liquidations."""


class DeskBooks:
    """What a venue's model did so far, in the order in which it did it.

    Attributes:
        markets: those whose instruments are traded here.
        model: the account itself.
    """

    def __init__(self, model: VenueModel, markets: Collection[Market]) -> None:
        self.venue = model.rules.venue
        self.markets = tuple(markets)
        self.model = model
        self._orders: dict[str, DeskOrder] = {}
        self._parents: dict[str, str] = {}
        self._newest: dict[str, str] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def order(self, venue_order_id: str) -> DeskOrder | None:
        """Return the order of a venue order id, or the conditional one whose child has it."""
        return self._orders.get(self._parents.get(venue_order_id, venue_order_id))

    def find(self, client_order_id: str) -> DeskOrder | None:
        """Return the newest order of a client order id."""
        return self._orders.get(self._newest.get(client_order_id, ""))

    def orders(self, instrument: InstrumentId | None = None) -> list[DeskOrder]:
        """Return every order, oldest first, others' too (of an instrument, if one is given)."""
        return [
            each
            for each in self._orders.values()
            if instrument is None or each.order.instrument.id == instrument
        ]

    def open_orders(self, instrument: InstrumentId | None = None) -> list[DeskOrder]:
        """Return the orders that are not final, oldest first."""
        return [each for each in self.orders(instrument) if not each.is_final]

    def executions(self, instrument: InstrumentId | None = None) -> list[Fill]:
        """Return all executions, oldest first; their ids are rising numbers."""
        fills = self.model.fills
        return [f for f in fills if instrument is None or f.instrument.id == instrument]

    def settlements(self, instrument: InstrumentId | None = None) -> list[FundingPaid]:
        """Return all funding settlements, oldest first; their ids are rising numbers."""
        paid = self.model.settlements
        return [p for p in paid if instrument is None or p.instrument.id == instrument]

    def balances(self) -> list[Balance]:
        """Return a row per asset that was ever held."""
        return list(self.model.all_balances(0).balances)

    def positions(self) -> list[PositionRow]:
        """Return a row per open position, in hedge mode per leg."""
        return [self._position(held) for held in self.model.account.held()]

    def _position(self, held: LinearPosition) -> PositionRow:
        key = held.instrument.id
        mark = self.model.marks.get(key)
        return PositionRow(
            instrument=held.instrument,
            leg=held.leg,
            side=Side.LONG if held.qty > ZERO else Side.SHORT,
            qty=abs(held.qty),
            entry_price=held.entry_price,
            leverage=held.leverage,
            margin_mode=self.model.account.margin_mode_of(key),
            margin=held.margin,
            liquidation_price=self.model.liquidation_price(held),
            mark=None if mark is None else exact(mark),
            unrealised=self.model.unrealised(held),
            maintenance=self.model.maintenance(held),
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the whole books for the control side, ``opening`` with all that was deposited."""
        return {
            "venue": self.venue,
            "markets": list(self.markets),
            "opening": dict(self.model.account.openings),
            "hedged": self.model.account.hedged,
            "orders": self.orders(),
            "executions": self.executions(),
            "settlements": self.settlements(),
            "positions": self.positions(),
            "balances": self.balances(),
        }

    # Filing

    def file(self, reports: Sequence[Report], now_ns: int) -> list[DeskOrder]:
        """Take up what the model changed, at ``now_ns`` UTC; returns the orders that it changed."""
        changed = [self._file(record, now_ns) for record in self.model.changed_orders.values()]
        self.model.changed_orders.clear()
        self.model.new_fills.clear()
        self.model.new_funding.clear()
        for report in reports:
            if isinstance(report, OrderFilled):
                changed += self._file_foreign(report.fill, now_ns)
        return changed

    def _file(self, record: VenueOrder, now_ns: int) -> DeskOrder:
        key = record.venue_order_id
        known = self._orders.get(key)
        child_id = None if record.child_id is UNSET else record.child_id
        filed = DeskOrder(
            record=record,
            terms=record.asked,
            created_ns=now_ns if known is None else known.created_ns,
            updated_ns=now_ns,
            triggered_ns=None if record.triggered_ns is UNSET else record.triggered_ns,
            child_id=child_id,
        )
        self._orders[key] = filed
        if child_id is not None:
            self._parents[child_id] = key
        if record.order.client_order_id:
            self._newest[record.order.client_order_id] = key
        for changed in self._waiting.pop(key, ()):
            if not changed.done():
                changed.set_result(None)
        return filed

    def _file_foreign(self, fill: Fill, now_ns: int) -> list[DeskOrder]:
        """File the order of an execution that no order of ours caused; it was filled at once."""
        key = fill.venue_order_id
        if key is None or self.order(key) is not None:
            return []
        order = Order(
            client_order_id=fill.client_order_id or "",
            position_id="",
            instrument=fill.instrument,
            side=fill.side,
            purpose=Purpose.EXIT,
            generation=0,
            qty=fill.qty,
            reduce_only=fill.kind is not FillKind.TRADE,
            created_at_ns=now_ns,
            actor=OTHERS,
        )
        filled = OrderStatus.FILLED
        terms = UNSET if fill.leg is None else Terms(leg=fill.leg)
        record = VenueOrder(order, key, filled, fill.qty, fills=(fill,), terms=terms)
        return [self._file(record, now_ns)]
