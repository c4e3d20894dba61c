"""What a signal does before and until its position is open."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.effects import SaveOrder, SavePosition, SaveSignal, SubmitOrder, Unwatch, Watch
from engine.model.events import BotSwitched, FeedLost, FeedResumed
from engine.model.exits import AtPrice, ExitReason, Percent
from engine.model.order import OrderStatus
from engine.model.position import GuardStatus, PositionStatus
from engine.model.signal import Outcome, Size, SizeKind
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, SECOND, Rig, position_id

D = Decimal


def test_an_entry_is_recorded_before_it_may_be_sent() -> None:
    rig = Rig()
    rig.trade(100.0)
    rig.signal("buy")
    rig.trade(100.0)
    kinds = [type(effect) for effect in rig.last]
    assert kinds == [SaveSignal, SavePosition, SaveOrder, SubmitOrder]
    assert rig.last[-1] == SubmitOrder(rig.submitted()[-1], after_commit=True)


def test_the_whole_of_an_entry_opens_a_guarded_position() -> None:
    rig = Rig()
    signal = rig.signal("sell", strategy="dip")
    rig.trade(100.0)
    rig.filled(rig.submitted()[-1], "101", fee=D("0.06"))
    position = rig.position(position_id(1))
    assert (position.status, position.guard) == (PositionStatus.OPEN, GuardStatus.ARMED)
    assert (position.take_profit, position.stop_loss) == (D("90.9"), D("106"))
    assert (position.side, position.entry_price, position.fees) == ("short", D(101), D("0.06"))
    assert (rig.outcome(signal).outcome, rig.outcome(signal).position_id) == (
        Outcome.OPENED,
        position.id,
    )
    assert rig.notices() == ["position.opened"]


def test_what_is_filled_is_guarded_from_the_first_fill_on() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.fill(entry, "100", "0.3")
    rig.trade(95.0)
    assert rig.exits()[-1].qty == D("0.3")


def test_percent_limits_follow_the_average_entry_and_absolute_ones_stay() -> None:
    rig = Rig()
    rig.signal("buy", stop_loss=AtPrice(D(90)), take_profit=Percent(D(10)))
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.fill(entry, "100", "0.5")
    rig.fill(entry, "104", "0.5")
    position = rig.position(position_id(1))
    assert (position.take_profit, position.stop_loss) == (D("112.2"), D(90))
    rig.trade(110.0)  # the threshold of the first fill alone
    assert rig.exits() == []


def test_a_fee_that_takes_all_that_was_bought_leaves_nothing_to_guard() -> None:
    rig = Rig()
    rig.signal("buy", BTC_SPOT)
    rig.trade(100.0, BTC_SPOT)
    entry = rig.submitted()[-1]
    rig.filled(entry, "100", fee=entry.qty, fee_asset="BTC")
    position = rig.position(position_id(1))
    assert (position.status, position.entry_price) == (PositionStatus.CLOSED, None)


def test_a_cancelled_entry_keeps_what_was_filled() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    rig.fill(entry, "100", "0.3")
    rig.update(entry, OrderStatus.CANCELLED)
    assert rig.position(position_id(1)).status is PositionStatus.OPEN


def test_a_refused_entry_leaves_the_reason_and_no_watched_prices() -> None:
    rig = Rig()
    signal = rig.signal("buy")
    rig.trade(100.0)
    rig.update(rig.submitted()[-1], OrderStatus.REJECTED, message="110007: not enough balance")
    assert rig.position(position_id(1)).status is PositionStatus.REJECTED
    assert rig.outcome(signal).reason == "110007: not enough balance"
    assert rig.last[-1] == Unwatch(BTC_PERP.id)


def test_an_entry_of_which_nothing_was_filled_says_so() -> None:
    rig = Rig()
    signal = rig.signal("buy")
    rig.trade(100.0)
    rig.update(rig.submitted()[-1], OrderStatus.CANCELLED)
    assert str(rig.outcome(signal).reason).startswith("not_filled")


# Waiting for a first price


def test_an_entry_waits_for_the_first_price() -> None:
    rig = Rig()
    rig.signal("buy")
    assert rig.last[-1] == Watch(BTC_PERP)
    assert rig.submitted() == []
    rig.trade(50.0)
    assert rig.submitted()[-1].qty == D(2)


@pytest.mark.parametrize("quote", [(99.0, 100.0)])
def test_a_quote_is_a_first_price_too(quote: tuple[float, float]) -> None:
    rig = Rig()
    rig.signal("buy")
    rig.quote(*quote)
    assert len(rig.submitted()) == 1


def test_a_price_that_never_comes_ends_the_wait() -> None:
    rig = Rig()
    signal = rig.signal("buy")
    rig.wait(9.9)
    assert rig.outcome(signal).outcome is Outcome.PENDING
    rig.wait(0.1)
    assert str(rig.outcome(signal).reason).startswith("no_price")
    assert rig.last[-1] == Unwatch(BTC_PERP.id)


def test_a_blind_instrument_has_no_price_and_keeping_blind_does_not_prolong_the_wait() -> None:
    rig = Rig()
    rig.open(strategy="one")
    rig.handle(FeedLost((BTC_PERP.id,), "silent", rig.now))
    signal = rig.signal("buy", strategy="two")
    for _ in range(10):
        rig.trade(100.0)
        rig.wait(1)
    assert str(rig.outcome(signal).reason).startswith("no_price")


def test_an_entry_goes_on_when_prices_come_back() -> None:
    rig = Rig()
    rig.open(strategy="one")
    rig.handle(FeedLost((BTC_PERP.id,), "silent", rig.now))
    rig.signal("buy", strategy="two")
    rig.handle(FeedResumed((BTC_PERP.id,), rig.now))
    rig.trade(100.0)
    assert len(rig.submitted()) == 2


def test_an_entry_that_grew_too_old_while_it_waited_is_refused() -> None:
    rig = Rig()
    signal = rig.signal("buy", sent_at_ns=rig.now - 55 * SECOND)
    rig.wait(6)
    rig.trade(100.0)
    assert str(rig.outcome(signal).reason).startswith("too_old")
    assert rig.last[-1] == Unwatch(BTC_PERP.id)


def test_a_close_takes_waiting_entries_with_it() -> None:
    rig = Rig()
    entry = rig.signal("buy")
    close = rig.signal("close")
    assert str(rig.outcome(entry).reason).startswith("superseded")
    assert rig.outcome(close).outcome is Outcome.IGNORED
    rig.trade(100.0)
    assert rig.submitted() == []


def test_a_close_leaves_waiting_entries_of_other_strategies_and_later_ones() -> None:
    rig = Rig()
    mine = rig.signal("buy", strategy="a")
    other = rig.signal("buy", strategy="b")
    rig.signal("close", strategy="a", sent_at_ns=rig.now - SECOND)
    assert rig.outcome(mine).outcome is Outcome.PENDING
    rig.signal("close", strategy="a")
    assert rig.outcome(mine).outcome is Outcome.REJECTED
    assert rig.outcome(other).outcome is Outcome.PENDING


def test_an_opposite_signal_drops_a_waiting_entry_and_opens_nothing() -> None:
    rig = Rig()
    long = rig.signal("buy")
    short = rig.signal("sell")
    assert str(rig.outcome(long).reason).startswith("superseded")
    assert str(rig.outcome(short).reason).startswith("opposite_waiting")
    assert rig.trade(100.0) == ()


def test_stopping_the_bot_drops_waiting_entries_and_keeps_the_guard() -> None:
    rig = Rig()
    rig.open()
    waiting = rig.signal("buy", ETH_PERP)
    rig.handle(BotSwitched(False, "owner", rig.now))
    assert str(rig.outcome(waiting).reason).startswith("bot_stopped")
    assert not rig.guardian.accepting
    assert rig.guardian.since_ns == rig.now
    rig.trade(95.0)
    assert len(rig.exits()) == 1


def test_switching_the_bot_to_where_it_is_changes_nothing() -> None:
    rig = Rig()
    assert rig.handle(BotSwitched(True, "owner", rig.now)) == ()
    rig.handle(BotSwitched(False, "owner", rig.now))
    rig.handle(BotSwitched(True, "owner", rig.now))
    assert rig.notices() == ["bot.stopped", "bot.started"]


# Same and opposite


def test_the_same_signal_is_ignored_while_its_strategy_is_in() -> None:
    rig = Rig()
    rig.open()
    again = rig.signal("buy")
    assert rig.outcome(again).outcome is Outcome.IGNORED
    assert str(rig.outcome(again).reason).startswith("already_open")
    rig.signal("buy", strategy="other")
    assert len(rig.submitted()) == 2


def test_of_equal_signals_that_wait_the_first_opens_and_the_next_is_ignored() -> None:
    rig = Rig()
    first, second = rig.signal("buy"), rig.signal("buy")
    assert rig.outcome(second).outcome is Outcome.PENDING
    rig.trade(100.0)
    (order,) = rig.submitted()
    assert order.signal_id == first.id
    assert str(rig.outcome(second).reason).startswith("already_open")


def test_an_equal_signal_opens_where_the_first_that_waited_is_refused() -> None:
    rig = Rig()
    rig.signal("buy", size=Size(SizeKind.QTY, D("0.0000001")))
    second = rig.signal("buy")
    rig.trade(100.0)
    (order,) = rig.submitted()
    assert order.signal_id == second.id


def test_an_opposite_signal_closes_whole_and_does_not_open() -> None:
    rig = Rig()
    position = rig.open()
    size = Size(SizeKind.QTY, D("0.1"))
    signal = rig.signal("sell", size=size, strategy="whoever")
    assert rig.outcome(signal).outcome is Outcome.PENDING
    assert rig.exits()[-1].qty == D(1)
    rig.filled(rig.exits()[-1], "100")
    assert rig.outcome(signal).outcome is Outcome.CLOSED
    assert rig.position(position).exit_reason is ExitReason.SIGNAL
    assert len(rig.submitted()) == 2


def test_an_opposite_signal_is_ignored_where_the_owner_wants_that() -> None:
    rig = Rig(close_on_opposite=False)
    rig.open()
    signal = rig.signal("sell")
    assert str(rig.outcome(signal).reason).startswith("opposite_open")
    assert rig.exits() == []


def test_an_opposite_signal_sent_before_the_position_was_opened_closes_nothing() -> None:
    rig = Rig()
    rig.open()
    signal = rig.signal("sell", sent_at_ns=rig.now - SECOND)
    assert rig.outcome(signal).outcome is Outcome.REJECTED
    assert str(rig.outcome(signal).reason).startswith("superseded")


# After the commit


def test_a_fresh_entry_may_be_sent() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    assert rig.guardian.entry_refusal(rig.submitted()[-1], rig.now) is None


@pytest.mark.parametrize("reason", ["bot_stopped", "closed", "too_old", "settled", "gone"])
def test_an_entry_that_was_overtaken_before_its_commit_is_not_sent(reason: str) -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    match reason:
        case "bot_stopped":
            rig.handle(BotSwitched(False, "owner", rig.now))
        case "closed":
            rig.close(entry.position_id)
        case "too_old":
            rig.now += 61 * SECOND
        case "settled":
            rig.fill(entry, "100", "0.5")
            rig.update(entry, OrderStatus.CANCELLED)
        case "gone":
            rig.update(entry, OrderStatus.REJECTED)
    refusal = rig.guardian.entry_refusal(entry, rig.now)
    assert str(refusal).split(":")[0] == {"gone": "settled"}.get(reason, reason)


def test_positions_on_one_venue_market_and_symbol_do_not_meet_those_of_another() -> None:
    rig = Rig()
    rig.open()
    spot = replace(BTC_SPOT)
    rig.signal("buy", spot)
    rig.trade(100.0, spot)
    assert len(rig.submitted()) == 2
