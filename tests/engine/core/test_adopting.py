"""What a venue holds and is not ours, handed over by its owner."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.adopting import GLANCE_NS
from engine.model.effects import AppendEvent, ReadAccount, SaveFill, Unwatch, Watch
from engine.model.events import (
    AdoptionWanted,
    BotSwitched,
)
from engine.model.exits import AtPrice, Disarmed, Percent, Side
from engine.model.order import FillKind, OrderSide, OrderStatus
from engine.model.position import GuardStatus, PositionStatus
from engine.model.ticks import PriceSource
from tests.engine.core.accounts_rig import balance, reads, row, settled, told
from tests.engine.core.adoption_rig import ID, adopt, beside, obstacle, on_spot
from tests.engine.core.restarts import restart
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, Rig, position_id

D = Decimal
USDC_SPOT = replace(BTC_SPOT, id=replace(BTC_SPOT.id, symbol="BTCUSDC"), quote="USDC")


# Adopted


@pytest.mark.parametrize(("side", "bought"), [("long", "buy"), ("short", "sell")])
def test_what_the_venue_holds_becomes_a_guarded_position_by_one_fill(
    side: str, bought: str
) -> None:
    rig = beside(row(side, "3"))
    position = adopt(rig)
    assert (position.status, position.guard) == (PositionStatus.OPEN, GuardStatus.ARMED)
    assert (position.side, position.qty, position.entry_price) == (Side(side), 3, 100)
    assert (position.signal_id, position.strategy) == (None, None)
    (saved,) = [e for e in rig.last if isinstance(e, SaveFill)]
    fill = saved.fill
    assert saved.position_id == ID
    assert (fill.venue_trade_id, fill.kind) == (f"adopted-{ID}", FillKind.ADOPTED)
    assert (fill.side, fill.qty, fill.price) == (OrderSide(bought), 3, 100)
    assert (fill.fee, fill.fee_asset, fill.client_order_id) == (0, "USDT", None)
    assert rig.guardian._state.is_booked((ID, fill.venue_trade_id))
    assert rig.guardian._state.foreign == {}


def test_the_owner_is_told_what_was_adopted_and_the_log_by_whom() -> None:
    rig = beside(row("long", "3"))
    adopt(rig)
    data = {
        "position_id": ID,
        "instrument": "bybit:linear:BTCUSDT",
        "side": "long",
        "qty": "3",
        "entry_price": "100",
    }
    assert told(rig, "position.adopted") == [data]
    (line,) = [e for e in rig.last if isinstance(e, AppendEvent)]
    assert (line.kind, line.actor, line.data) == ("position.adopted", "owner", data)


def test_limits_follow_the_venues_entry_price_and_close_it_like_any_other() -> None:
    rig = beside(row("long", "3"))
    position = adopt(rig, stop_loss=AtPrice(D(98)))
    assert (position.take_profit, position.stop_loss) == (110, 98)
    rig.trade(97.9)
    (order,) = rig.exits()
    assert (order.qty, order.side, order.reduce_only) == (3, OrderSide.SELL, True)
    rig.sent(order)
    rig.filled(order, "97.9")
    closed = rig.position(position)
    assert (closed.status, str(closed.exit_reason)) == (PositionStatus.CLOSED, "stop_loss")
    assert closed.realized_pnl == D("-6.3")


def test_a_report_after_it_agrees_with_our_books() -> None:
    rig = beside(row("long", "3"))
    adopt(rig)
    settled(rig, row("long", "3"), times=4)
    assert rig.guardian._state.foreign == {}
    assert told(rig, "account.unexplained") == []
    rig.foreign(BTC_PERP, "sell", "1", "99")
    assert rig.position(ID).qty_open == 2


def test_what_is_beside_ours_is_adopted_alone() -> None:
    rig = Rig()
    first = rig.open()
    settled(rig, row("long", "3"))
    rig.wait(2)
    position = adopt(rig)
    assert (position.qty, rig.position(first).qty) == (2, 1)
    settled(rig, row("long", "3"), times=3)
    assert rig.guardian._state.foreign == {}
    assert told(rig, "account.unexplained") == []


def test_of_two_legs_the_named_one_is_adopted() -> None:
    rig = beside(row("long", "3"), row("short", "2"), hedged=True)
    kind, field, _ = obstacle(rig)
    assert (kind, field) == ("wrong", "side")
    position = adopt(rig, side=Side.SHORT)
    assert (position.side, position.qty) == (Side.SHORT, 2)
    legs = rig.guardian._state.accounts.legs
    assert legs == {(BTC_PERP.id, Side.LONG): 3}


def test_the_other_leg_of_an_instrument_of_ours_is_not_adopted() -> None:
    rig = beside(row("long", "3"), row("short", "2"), hedged=True)
    adopt(rig, side=Side.SHORT)
    rig.wait(2)
    kind, field, remedy = obstacle(rig, key=position_id(78), side=Side.LONG)
    assert (kind, field) == ("absent", "side")
    assert remedy.startswith("a short of ours is open on it")


def test_a_lone_leg_needs_no_name_and_takes_its_own_entry_price() -> None:
    short = replace(row("short", "2"), entry_price=D(120))
    position = adopt(beside(short, hedged=True), take_profit=Disarmed())
    assert (position.side, position.entry_price) == (Side.SHORT, 120)


def test_neither_a_stopped_bot_nor_the_most_positions_bars_an_adoption() -> None:
    rig = beside(row("long", "3"), max_open_positions=0)
    rig.handle(BotSwitched(False, "owner", rig.now))
    assert adopt(rig).status is PositionStatus.OPEN


def test_executions_of_before_explain_nothing_of_what_was_adopted() -> None:
    rig = Rig()
    rig.foreign(BTC_PERP, "sell", "1", "104")
    rig.foreign(BTC_PERP, "buy", "3", "100")
    rig.foreign(BTC_PERP, "sell", "1", "104")
    settled(rig, row("long", "1"), times=2)
    rig.handle(AdoptionWanted(BTC_PERP, rig.now))
    rig.trade(100.0)
    adopt(rig)
    assert BTC_PERP.id not in rig.guardian._state.accounts.unclaimed


def test_a_trailing_stop_follows_from_the_price_now_and_not_from_the_entry() -> None:
    row_of_old = replace(row("long", "3"), entry_price=D(100))
    rig = beside(row_of_old, price=90.0)
    position = adopt(rig, trailing=Percent(D(5)), stop_loss=Disarmed())
    assert position.progress.peak == 90
    rig.trade(86.0)
    assert rig.exits() == []
    rig.trade(85.0)
    assert len(rig.exits()) == 1


def test_a_trailing_stop_that_waits_for_its_activation_has_no_peak() -> None:
    rig = beside(row("long", "3"))
    position = adopt(rig, trailing=Percent(D(5)), trailing_activation=Percent(D(4)))
    assert position.progress.peak is None


def test_it_is_found_again_after_a_start() -> None:
    rig = beside(row("long", "3"))
    adopt(rig)
    fresh = restart(rig)
    for generation in range(4):
        fresh.absent(f"{ID}x{generation}")
    fresh.trade(94.9)
    assert [order.qty for order in fresh.exits()] == [3]


# Spot


def test_on_spot_what_is_free_is_adopted_at_the_price_now() -> None:
    rig = on_spot("2")
    position = adopt(rig, BTC_SPOT)
    assert (position.side, position.qty, position.entry_price) == (Side.LONG, 2, 100)
    settled(rig, balances=[balance("BTC", "2")], times=3)
    assert rig.guardian._state.foreign == {}
    assert told(rig, "account.unexplained") == []


def test_on_spot_the_owner_may_say_what_it_cost() -> None:
    position = adopt(on_spot("2"), BTC_SPOT, entry_price=D("98"))
    assert position.entry_price == 98


def test_on_spot_neither_what_is_locked_nor_less_than_a_step_is_adopted() -> None:
    assert adopt(on_spot("2", "1.5000005"), BTC_SPOT).qty == D("1.5")


def test_on_spot_what_positions_of_the_asset_bought_is_not_adopted_again() -> None:
    rig = Rig()
    settled(rig, balances=[balance("BTC", "2")])
    rig.handle(AdoptionWanted(USDC_SPOT, rig.now))
    rig.trade(100.0, USDC_SPOT)
    adopt(rig, USDC_SPOT)
    rig.handle(AdoptionWanted(BTC_SPOT, rig.now))
    rig.trade(100.0, BTC_SPOT)
    settled(rig, balances=[balance("BTC", "2.5")], times=2)
    position = adopt(rig, BTC_SPOT, key=position_id(78))
    assert position.qty == D("0.5")


def test_on_spot_what_was_counted_as_others_is_counted_no_more() -> None:
    rig = Rig()
    rig.signal("buy", BTC_SPOT)
    rig.trade(100.0, BTC_SPOT)
    rig.filled(rig.submitted()[-1], "100")
    settled(rig, balances=[balance("BTC", "4")])
    assert rig.guardian._state.foreign == {BTC_SPOT.id: 3}
    rig.wait(2)
    assert adopt(rig, BTC_SPOT).qty == 3
    assert rig.guardian._state.foreign == {}


@pytest.mark.parametrize("qty", ["0.000005", "0.01"])
def test_on_spot_what_the_venue_does_not_sell_is_not_adopted(qty: str) -> None:
    kind, field, remedy = obstacle(on_spot(qty), BTC_SPOT)
    assert (kind, field) == ("absent", "symbol")
    assert remedy == f"{qty} BTC is less than the venue sells; there is no guarding it"


def test_on_spot_there_is_no_short() -> None:
    assert obstacle(on_spot("2"), BTC_SPOT, side=Side.SHORT)[:2] == ("absent", "symbol")


def test_on_spot_the_mark_price_guards_nothing() -> None:
    found = obstacle(on_spot("2"), BTC_SPOT, trigger=PriceSource.MARK)
    assert found == ("wrong", "trigger", "spot has no mark price; give last or book")


# Watched


def test_the_price_and_the_account_are_asked_for_before_an_adoption() -> None:
    rig = Rig()
    settled(rig)
    rig.handle(AdoptionWanted(BTC_PERP, rig.now))
    assert rig.last == (Watch(BTC_PERP),)
    rig.wait(5)
    assert reads(rig) == 1
    assert ReadAccount("bybit") in rig.last


def test_what_is_not_adopted_is_watched_no_longer_than_a_while() -> None:
    rig = Rig()
    rig.handle(AdoptionWanted(BTC_PERP, rig.now))
    rig.wait(GLANCE_NS / 1e9 - 1)
    assert Unwatch(BTC_PERP.id) not in rig.last
    rig.wait(1)
    assert Unwatch(BTC_PERP.id) in rig.last
    rig.wait(60)
    assert Unwatch(BTC_PERP.id) not in rig.last


def test_what_was_adopted_stays_watched() -> None:
    rig = beside(row("long", "3"))
    adopt(rig)
    rig.wait(61)
    assert Unwatch(BTC_PERP.id) not in rig.effects
    rig.close(ID)
    rig.filled(rig.exits()[0], "100")
    assert Unwatch(BTC_PERP.id) in rig.last


def test_an_exit_of_what_was_adopted_that_is_refused_is_tried_again() -> None:
    rig = beside(row("long", "3"))
    adopt(rig)
    rig.close(ID)
    rig.update(rig.exits()[0], OrderStatus.REJECTED)
    rig.wait(1)
    assert len(rig.exits()) == 2
