"""A venue as it truly is: what it refuses, how it fills, and what is traded past us."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.model.events import (
    BalancesReported,
    FundingPaid,
    OrderFilled,
    OrderUpdated,
)
from engine.model.exits import Side
from engine.model.ids import Purpose, client_order_id, encode_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import FillKind, Order, OrderSide, OrderStatus, Refusal
from engine.simulation.exchange import REST_NS, Exchange
from engine.simulation.faults import Faults
from engine.simulation.history import History
from engine.simulation.plan import EPOCH_NS, Fault
from engine.simulation.prices import print_at
from engine.simulator.matching import Report, VenueRules
from tests.engine.simulation.rig import MS, PERP, PRICE, SECOND, SPOT

D = Decimal
POSITION = encode_id(bytes(16))


class Stage:
    """A venue with a clock that tests move, and somebody who listens."""

    def __init__(self, *faults: Fault, third: bool = False, unique: bool = True) -> None:
        self.now_ns = 0
        self.history = History()
        self.later: list[tuple[int, Callable[..., None], tuple[Any, ...]]] = []
        rules = VenueRules(
            venue="bybit",
            fee_rates={Market.SPOT: D("0.001"), Market.LINEAR: D("0.0005")},
            fee_asset={Market.SPOT: "BNB"} if third else None,
            fee_asset_rate=D(600),
            latency_ns=30 * MS,
            slippage_bps=D(5),
            ids_unique_for_ever=unique,
        )
        self.exchange = Exchange(
            rules,
            {"USDT": D(10_000), "BNB": D(100)},
            Faults(faults, self.history, lambda: self.now_ns),
            lambda: self.now_ns,
            self._after,
        )
        self.heard: list[Report] = []
        self.exchange.listeners.append(self.heard.append)
        self.price(PERP)
        self.price(SPOT)

    def _after(self, delay_ns: int, function: Callable[..., None], *arguments: Any) -> None:
        self.later.append((self.now_ns + delay_ns, function, arguments))

    def pass_ms(self, passed_ms: int) -> None:
        """Let time pass, and happen what was to happen by then."""
        self.now_ns += passed_ms * MS
        due = [each for each in self.later if each[0] <= self.now_ns]
        self.later = [each for each in self.later if each[0] > self.now_ns]
        for _, function, arguments in due:
            function(*arguments)

    def price(self, instrument: Instrument, price: float = PRICE) -> None:
        self.exchange.price(instrument, print_at(instrument, price, self.now_ns // MS))

    def order(self, instrument: Instrument = PERP, number: int = 0, qty: str = "0.1") -> Order:
        key = client_order_id(POSITION, Purpose.ENTRY, number)
        return Order(
            key, POSITION, instrument, OrderSide.BUY, Purpose.ENTRY, number, D(qty), False, 0, "me"
        )  # fmt: skip

    def buy(self, instrument: Instrument = PERP, number: int = 0, qty: str = "0.1") -> list[Report]:
        """Have an order taken, and one price after its latency."""
        answer = self.exchange.take(self.order(instrument, number, qty))
        self.pass_ms(40)
        self.price(instrument)
        return answer

    def struck(self) -> list[str]:
        return [struck.fault.kind for struck in self.history.struck]

    def statuses(self) -> list[OrderStatus]:
        return [each.status for each in self.heard if isinstance(each, OrderUpdated)]


def test_it_answers_that_it_took_an_order_and_tells_its_fills_by_the_stream() -> None:
    stage = Stage()
    (answer,) = stage.buy()
    assert isinstance(answer, OrderUpdated)
    assert answer.status is OrderStatus.ACKNOWLEDGED
    assert stage.exchange.taken_ns == {stage.order().client_order_id: 0}
    fills = [each.fill for each in stage.heard if isinstance(each, OrderFilled)]
    assert sum(fill.qty for fill in fills) == D("0.1")
    assert stage.exchange.executions == fills
    assert stage.statuses() == [OrderStatus.FILLED]
    assert stage.exchange.look_up(stage.order().client_order_id).status is OrderStatus.FILLED


def test_its_clock_is_utc() -> None:
    stage = Stage()
    stage.pass_ms(5)
    assert stage.exchange.time_ns() == EPOCH_NS + 5 * MS
    assert stage.exchange.account(7).as_of_ns == 7


def test_an_order_waits_for_a_price_after_its_latency() -> None:
    stage = Stage()
    stage.exchange.take(stage.order())
    stage.pass_ms(20)
    stage.price(PERP)
    assert stage.exchange.executions == []
    stage.pass_ms(20)
    stage.price(PERP)
    assert stage.exchange.executions


def test_an_order_without_quotes_is_filled_at_the_last_trade_in_time() -> None:
    stage = Stage()
    stage.exchange.pass_time()
    stage.exchange.take(stage.order())
    stage.pass_ms(900)
    stage.exchange.pass_time()
    assert stage.exchange.executions == []
    stage.pass_ms(200)
    stage.exchange.pass_time()
    assert stage.exchange.executions


def test_an_order_on_what_never_traded_is_refused_in_the_end() -> None:
    stage, silent = Stage(), replace(PERP, id=InstrumentId("bybit", Market.LINEAR, "NEWUSDT"))
    stage.exchange.take(stage.order(silent))
    stage.pass_ms(9000)
    stage.exchange.pass_time()
    assert stage.statuses() == []
    stage.pass_ms(1100)
    stage.exchange.pass_time()
    assert stage.statuses() == [OrderStatus.REJECTED]
    assert stage.exchange.executions == []


def test_an_id_that_comes_again_is_written_down_and_not_taken() -> None:
    stage = Stage()
    stage.buy()
    stage.pass_ms(10)
    (answer,) = stage.exchange.take(stage.order())
    assert isinstance(answer, OrderUpdated)
    assert answer.status is OrderStatus.UNKNOWN
    assert stage.struck() == ["id_again"]
    assert stage.exchange.taken_ns == {stage.order().client_order_id: 0}
    assert len(stage.exchange.orders()) == 1


def test_where_ids_are_free_again_after_the_fill_the_order_is_taken_twice() -> None:
    stage = Stage(unique=False)
    stage.buy()
    stage.exchange.take(stage.order())
    assert len(stage.exchange.orders()) == 2
    assert stage.exchange.taken_ns == {stage.order().client_order_id: 40 * MS}


def test_a_delisted_instrument_takes_no_orders_and_the_others_do() -> None:
    stage = Stage(Fault("delist", 0, 1000, instrument=PERP.id))
    (answer,) = stage.exchange.take(stage.order())
    assert isinstance(answer, OrderUpdated)
    assert (answer.status, answer.refusal) == (OrderStatus.REJECTED, Refusal.OTHER)
    assert "delisted" in str(answer.message)
    (other,) = stage.exchange.take(stage.order(SPOT, 1))
    assert isinstance(other, OrderUpdated)
    assert other.status is OrderStatus.ACKNOWLEDGED
    stage.pass_ms(1000)
    (again,) = stage.exchange.take(stage.order(PERP, 2))
    assert isinstance(again, OrderUpdated)
    assert again.status is OrderStatus.ACKNOWLEDGED


def test_a_late_refusal_comes_when_the_order_meets_a_price() -> None:
    stage = Stage(Fault("late_rej", 0, 1000))
    (answer,) = stage.exchange.take(stage.order())
    assert isinstance(answer, OrderUpdated)
    assert answer.status is OrderStatus.ACKNOWLEDGED
    assert stage.struck() == []
    stage.pass_ms(40)
    stage.price(PERP)
    assert stage.statuses() == [OrderStatus.REJECTED]
    assert stage.struck() == ["late_rej"]


# In parts


def parts(number: int) -> Stage:
    """An order larger than any quote, after the first of them; ``number`` orders came before."""
    fault = Fault("partial", 0, 5000, 99)
    stage = Stage(fault)
    for each in range(number):
        stage.exchange.take(stage.order(PERP, 100 + each, "0.0001"))  # below the filters
    stage.exchange.fill_in_parts(fault)
    stage.buy(PERP, 0, "0.15")
    return stage


def test_an_order_is_filled_over_several_quotes() -> None:
    stage = parts(0)
    assert stage.struck() == ["partial"]
    assert stage.statuses() == [OrderStatus.PARTIALLY_FILLED]
    stage.pass_ms(40)
    stage.price(PERP)
    stage.pass_ms(40)
    stage.price(PERP)
    assert stage.statuses()[-1] is OrderStatus.FILLED
    assert stage.struck() == ["partial", "partial"]
    assert [str(fill.qty) for fill in fills_of(stage)] == ["0.06", "0.06", "0.03"]


def fills_of(stage: Stage) -> list[Any]:
    return [each.fill for each in stage.heard if isinstance(each, OrderFilled)]


def test_some_orders_are_cancelled_before_they_meet_a_quote_and_others_after() -> None:
    """Of four orders one after another: one at once, two with their rest, one is filled."""
    ends = set()
    for number in range(4):
        stage = parts(number)
        stage.pass_ms(REST_NS // MS)
        for _ in range(2):
            stage.pass_ms(40)
            stage.price(PERP)
        ends.add((stage.statuses()[-1], len(fills_of(stage))))
    assert ends == {
        (OrderStatus.CANCELLED, 0),
        (OrderStatus.CANCELLED, 1),
        (OrderStatus.FILLED, 3),
    }


def test_a_rest_stays_when_the_fault_is_over() -> None:
    stage = parts(0)
    stage.exchange.fill_whole()
    stage.price(PERP)
    assert stage.statuses()[-1] is OrderStatus.FILLED
    stage.pass_ms(REST_NS // MS)
    assert stage.statuses()[-1] is OrderStatus.FILLED


def test_orders_are_filled_whole_again_after_the_fault() -> None:
    stage = parts(0)
    stage.pass_ms(5000)
    stage.heard.clear()
    stage.buy(PERP, 1, "0.15")
    assert OrderStatus.FILLED in stage.statuses()
    assert OrderStatus.PARTIALLY_FILLED not in stage.statuses()
    assert stage.struck() == ["partial"]


# Past us


@pytest.mark.parametrize("instrument", [PERP, SPOT], ids=["linear", "spot"])
def test_what_is_traded_by_hand_changes_what_is_held_and_has_no_id(instrument: Instrument) -> None:
    stage = Stage()
    stage.buy(instrument)
    held = stage.exchange.held(instrument)
    stage.heard.clear()
    stage.exchange.trade_by_hand(instrument, OrderSide.SELL, D("0.04"), FillKind.TRADE)
    assert stage.exchange.held(instrument) == held - D("0.04")
    fill = fills_of(stage)[0]
    assert (fill.client_order_id, fill.price, fill.kind) == (None, D(1000), FillKind.TRADE)


def test_what_cannot_be_traded_by_hand_is_not() -> None:
    stage = Stage()
    stage.exchange.trade_by_hand(SPOT, OrderSide.SELL, D(1), FillKind.TRADE)
    assert stage.exchange.executions == []


def test_a_liquidation_is_told_as_one() -> None:
    stage = Stage()
    stage.buy()
    stage.exchange.trade_by_hand(PERP, OrderSide.SELL, D("0.1"), FillKind.LIQUIDATION)
    assert fills_of(stage)[-1].kind is FillKind.LIQUIDATION
    assert stage.exchange.held(PERP) == 0


# Fees and funding


@pytest.mark.parametrize(
    ("instrument", "third", "struck"),
    [(SPOT, False, "fee_base"), (SPOT, True, "fee_third"), (PERP, False, None)],
)
def test_fees_in_other_assets_are_written_down(
    instrument: Instrument, third: bool, struck: str | None
) -> None:
    stage = Stage(third=third)
    stage.buy(instrument)
    assert set(stage.struck()) == ({struck} if struck else set())
    assert len(stage.struck()) == (len(stage.exchange.executions) if struck else 0)


def test_funding_is_an_execution_that_is_told_and_no_fill() -> None:
    stage = Stage()
    funding = FundingPaid("f1", PERP, D("0.5"), stage.exchange.time_ns())
    stage.exchange.tell([funding])
    assert stage.exchange.executions == [funding]
    assert stage.heard == [funding]
    assert stage.exchange.end([PERP]).fills == []


def test_a_mark_far_away_liquidates_what_is_held() -> None:
    stage = Stage()
    sell = replace(stage.order(), side=OrderSide.SELL)
    stage.exchange.take(sell)
    stage.pass_ms(40)
    stage.price(PERP)
    assert [each.side for each in stage.exchange.model.venue_positions()] == [Side.SHORT]
    stage.price(PERP, 2100.0)
    assert stage.exchange.held(PERP) == 0
    assert fills_of(stage)[-1].kind is FillKind.LIQUIDATION


# The end


def test_its_books_hold_all_executions_all_orders_and_what_is_held() -> None:
    stage = Stage()
    stage.buy()
    stage.exchange.trade_by_hand(PERP, OrderSide.SELL, D("0.04"), FillKind.TRADE)
    venue = stage.exchange.end([PERP, SPOT])
    assert list(venue.fills) == stage.exchange.executions
    assert [each.order for each in venue.orders] == [stage.order()]
    assert venue.held == {PERP.id: D("0.06"), SPOT.id: 0}


def test_it_has_no_books_of_other_venues() -> None:
    other = replace(PERP, id=InstrumentId("binance", Market.LINEAR, "BTCUSDT"))
    assert Stage().exchange.end([other]).held == {}


def test_who_stops_listening_hears_nothing() -> None:
    stage = Stage()
    stage.exchange.listeners.clear()
    stage.buy()
    assert stage.heard == []
    assert stage.exchange.executions
    assert stage.now_ns < SECOND


def test_all_reports_go_to_all_who_listen() -> None:
    stage, other = Stage(), []
    stage.exchange.listeners.append(other.append)
    stage.buy()
    assert other == stage.heard
    assert any(isinstance(each, BalancesReported) for each in other)
