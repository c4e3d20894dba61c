"""The guardian as its shell sees it: prices, feeds, views."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.effects import NOTHING, SaveBalance, SendNotice
from engine.model.events import Balance, BalancesReported, FeedLost, FeedResumed
from engine.model.exits import ExitReason, Percent
from engine.model.instrument import InstrumentId, Market
from engine.model.position import GuardStatus
from engine.model.ticks import PriceSource
from tests.engine.core.rig import BTC_PERP, ETH_PERP, Rig

D = Decimal


def test_a_price_that_nothing_waits_for_has_no_effect() -> None:
    rig = Rig()
    rig.open()
    for effects in (rig.trade(100.0), rig.quote(1.0, 500.0), rig.mark(1.0)):
        assert effects is NOTHING


def test_prices_of_what_is_not_watched_have_no_effect() -> None:
    rig = Rig()
    for effects in (rig.trade(1.0), rig.quote(1.0, 2.0), rig.mark(1.0)):
        assert effects is NOTHING
    assert rig.guardian.price(BTC_PERP.id) is None


def test_with_mark_only_the_mark_triggers() -> None:
    rig = Rig(trigger=PriceSource.MARK)
    rig.open()
    assert rig.trade(1.0) == rig.quote(1.0, 1.0) == ()
    rig.mark(94.99999999)  # marks lie off the tick grid and keep their digits
    assert rig.exits()[0].trigger_price == D("94.99999999")


@pytest.mark.parametrize(
    ("action", "quiet", "reached"),
    [("buy", (95.1, 94.0), (95.0, 105.0)), ("sell", (106.0, 104.9), (95.0, 105.0))],
)
def test_with_book_a_long_closes_at_the_bid_and_a_short_at_the_ask(
    action: str, quiet: tuple[float, float], reached: tuple[float, float]
) -> None:
    rig = Rig(trigger=PriceSource.BOOK)
    rig.open(action)
    assert rig.trade(1.0) == ()
    assert rig.quote(*quiet) == ()
    rig.quote(*reached)
    assert rig.exits()[0].reason is ExitReason.STOP_LOSS


def test_one_price_closes_every_position_that_it_reaches() -> None:
    rig = Rig()
    for number in range(5):
        rig.open(strategy=str(number), stop_loss=Percent(D(number + 1)))
    rig.trade(97.0)
    assert len(rig.exits()) == 3
    rig.trade(90.0)
    assert len(rig.exits()) == 5


def test_a_short_is_guarded_the_other_way_round() -> None:
    rig = Rig()
    rig.open("sell")
    assert rig.trade(104.9) == rig.trade(90.1) == ()
    rig.trade(90.0)
    assert (rig.exits()[0].reason, rig.exits()[0].side) == (ExitReason.TAKE_PROFIT, "buy")


def test_the_current_price_is_the_last_trade_else_the_middle_of_the_book() -> None:
    rig = Rig(max_open_positions=1)
    rig.signal("buy")
    rig.quote(99.0, 100.0)
    assert rig.guardian.price(BTC_PERP.id) == D("99.5")
    rig.trade(99.9)
    assert rig.guardian.price(BTC_PERP.id) == D("99.9")
    rig.mark(99.8)
    assert rig.guardian.price(BTC_PERP.id) == D("99.9")


def test_the_current_price_is_the_mark_where_that_guards() -> None:
    rig = Rig(trigger=PriceSource.MARK)
    rig.signal("buy")
    assert rig.guardian.price(BTC_PERP.id) is None
    rig.trade(99.9)
    assert rig.guardian.price(BTC_PERP.id) == D("99.9")
    rig.mark(99.8)
    assert rig.guardian.price(BTC_PERP.id) == D("99.8")
    assert rig.guardian.positions()[0].current_price == D("99.8")


def test_a_position_is_shown_with_its_current_price() -> None:
    rig = Rig()
    position = rig.open()
    rig.trade(101.5)
    shown = rig.guardian.position(position.id)
    assert shown is not None
    assert shown.current_price == D("101.5")


# Feeds


def test_a_lost_feed_blinds_its_positions_tells_once_and_clears() -> None:
    rig = Rig()
    position = rig.open()
    other = rig.open(instrument=ETH_PERP)
    rig.handle(FeedLost((BTC_PERP.id,), "no data for 10 s", rig.now))
    assert rig.guardian.blind() == [BTC_PERP.id]
    assert rig.position(position).guard is GuardStatus.BLIND
    assert rig.position(other).guard is GuardStatus.ARMED
    assert rig.handle(FeedLost((BTC_PERP.id,), "still", rig.now)) == ()
    rig.handle(FeedResumed((BTC_PERP.id,), rig.now))
    assert rig.position(position).guard is GuardStatus.ARMED
    assert rig.handle(FeedResumed((BTC_PERP.id,), rig.now)) == ()
    assert rig.notices()[-2:] == ["feed.lost", "feed.resumed"]


def test_a_price_that_arrives_while_blind_still_guards() -> None:
    rig = Rig()
    rig.open()
    rig.handle(FeedLost((BTC_PERP.id,), "silent", rig.now))
    rig.trade(95.0)
    assert len(rig.exits()) == 1


def test_what_is_filled_while_blind_is_blind() -> None:
    rig = Rig()
    rig.signal("buy")
    rig.trade(100.0)
    rig.handle(FeedLost((BTC_PERP.id,), "silent", rig.now))
    rig.filled(rig.submitted()[0], "100")
    assert rig.guardian.positions()[0].guard is GuardStatus.BLIND


def test_feeds_of_what_nobody_watches_are_nobodys_business() -> None:
    other = InstrumentId("bybit", Market.LINEAR, "XRPUSDT")
    assert Rig().handle(FeedLost((other,), "silent", 1)) == ()


def test_an_instrument_is_no_longer_blind_when_nobody_watches_it() -> None:
    rig = Rig()
    position = rig.open()
    rig.handle(FeedLost((BTC_PERP.id,), "silent", rig.now))
    rig.close(position)
    rig.filled(rig.exits()[0], "100")
    assert rig.guardian.blind() == []


def test_prices_stay_while_anything_needs_them() -> None:
    rig = Rig()
    first = rig.open(strategy="a")
    rig.open(strategy="b")
    rig.close(first)
    rig.filled(rig.exits()[0], "100")
    assert rig.guardian.price(BTC_PERP.id) == D(100)


# Balances


def test_balances_are_saved_when_they_change() -> None:
    rig = Rig()
    balance = Balance("bybit", "BTC", D(2), D(1), D(1))
    assert rig.handle(BalancesReported((balance,), 5)) == (SaveBalance(balance, 5),)
    assert rig.handle(BalancesReported((balance,), 6)) == ()
    changed = replace(balance, total=D(3))
    assert rig.handle(BalancesReported((balance, changed), 7)) == (SaveBalance(changed, 7),)


def test_records_come_before_commands() -> None:
    rig = Rig()
    rig.open()
    rig.trade(95.0)
    kinds = [type(effect).__name__ for effect in rig.last]
    assert kinds == ["SavePosition", "SaveOrder", "AppendEvent", "SubmitOrder"]
    rig.filled(rig.exits()[0], "95")
    kinds = [type(effect).__name__ for effect in rig.last]
    assert kinds == ["SavePosition", "SaveOrder", "AppendEvent", "SendNotice", "Unwatch"]
    assert isinstance(rig.last[3], SendNotice)
