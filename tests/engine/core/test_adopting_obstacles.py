"""What a venue holds and is not ours, and cannot be handed over (yet)."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from engine.core.adopting import ObstacleKind
from engine.model.effects import AppendEvent
from engine.model.events import (
    AdoptionWanted,
    FeedLost,
)
from engine.model.exits import Percent, Side
from engine.model.ticks import PriceSource
from tests.engine.core.accounts_rig import report, row, settled
from tests.engine.core.adoption_rig import adopt, beside, obstacle, obstacles, wanted
from tests.engine.core.restarts import restart
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, Rig

D = Decimal


def test_what_is_not_there_is_not_adopted() -> None:
    kind, field, remedy = obstacle(beside())
    assert (kind, field) == ("absent", "symbol")
    assert remedy.startswith("bybit holds nothing of bybit:linear:BTCUSDT that is not guarded")
    assert obstacle(beside(), BTC_SPOT)[0] == "absent"
    remedy = obstacle(beside(row("long", "3")), side=Side.SHORT)[2]
    assert remedy.startswith("bybit holds no short of bybit:linear:BTCUSDT")


def test_what_is_ours_is_not_adopted_again() -> None:
    rig = Rig()
    rig.open()
    settled(rig, row("long", "1"))
    rig.wait(2)
    assert obstacle(rig)[0] == "absent"


def test_an_account_that_was_not_read_yet_tells_nothing() -> None:
    kind, field, remedy = obstacle(Rig())
    assert (kind, field) == ("later", "venue")
    assert remedy == "the account of bybit was not read yet; send it again in a few seconds"


def later(rig: Rig, **fields: Any) -> bool:
    kind, field, remedy = obstacle(rig, **fields)
    about_orders = remedy.startswith("orders or executions of it are not accounted for yet")
    return (kind, field, about_orders) == ("later", "symbol", True)


def test_an_adoption_waits_for_orders_of_ours() -> None:
    rig = Rig()
    position = rig.open()
    settled(rig, row("long", "3"))
    rig.wait(2)
    assert obstacles(rig) == []
    rig.close(position, "0.5")
    assert later(rig)
    rig.filled(rig.exits()[0], "100")
    rig.wait(2)
    assert later(rig)  # the account may have been read before
    settled(rig, row("long", "2.5"))
    assert obstacles(rig) == []


def test_an_adoption_waits_for_a_position_that_is_resolving() -> None:
    old = Rig()
    old.open()
    rig = restart(old)
    settled(rig, row("long", "3"))
    assert later(rig)


def test_an_adoption_waits_for_executions_that_no_report_has_yet() -> None:
    rig = beside(row("long", "3"))
    rig.foreign(BTC_PERP, "sell", "1", "100")
    assert later(rig)


def test_an_adoption_waits_while_executions_are_held_back() -> None:
    rig = beside(row("long", "3"), hedged=True)
    rig.foreign(BTC_PERP, "sell", "1", "100")
    report(rig, row("long", "3"), hedged=True)
    rig.guardian._state.accounts.moved_ns.clear()
    assert later(rig)


def test_an_adoption_waits_until_reports_agree_and_are_explained() -> None:
    rig = Rig()
    rig.open()
    settled(rig, row("long", "3"))
    settled(rig, row("long", "2"))
    assert later(rig)
    settled(rig, row("long", "2"))
    assert obstacles(rig) == []
    settled(rig, row("long", "0.5"), times=3)
    assert later(rig)


def test_an_adoption_needs_a_price_that_is_believed() -> None:
    rig = Rig()
    settled(rig, row("long", "3"))
    wants_price = ("later", "symbol")
    assert obstacle(rig)[:2] == wants_price
    rig.handle(AdoptionWanted(BTC_PERP, rig.now))
    assert obstacle(rig)[:2] == wants_price
    rig.trade(100.0)
    assert obstacles(rig) == []
    assert obstacle(rig, trigger=PriceSource.BOOK)[:2] == wants_price
    rig.quote(99.9, 100.1)
    assert obstacles(rig, trigger=PriceSource.BOOK) == []
    rig.guardian._state.markets[BTC_PERP.id].doubted = True
    assert obstacle(rig)[:2] == wants_price
    rig.guardian._state.markets[BTC_PERP.id].doubted = False
    rig.handle(FeedLost((BTC_PERP.id,), "silence", rig.now))
    assert obstacle(rig)[:2] == wants_price


def test_an_entry_price_is_for_spot() -> None:
    found = obstacle(beside(row("long", "3")), entry_price=D(90))
    assert found == (
        "wrong",
        "entry_price",
        "leave it out: on linear the venue's own entry price is taken",
    )


def test_a_venue_that_tells_no_entry_price_gets_the_price_now() -> None:
    rig = beside(replace(row("long", "3"), entry_price=D(0)), price=101.0)
    assert adopt(rig).entry_price == 101
    rig = beside(row("long", "3"), price=101.0)
    rig.guardian._state.accounts.rows.clear()
    assert adopt(rig).entry_price == 101


def test_a_stop_that_would_close_it_at_once_is_refused() -> None:
    rig = beside(row("long", "3"), price=90.0)
    (found,) = obstacles(rig)
    assert (found.kind, found.field) == (ObstacleKind.WRONG, "stop_loss_percent")
    assert found.remedy == "95 of a long must lie below the price, now 90"
    assert adopt(rig, stop_loss=Percent(D(20))).stop_loss == 80


def test_a_detail_of_a_rule_that_is_not_asked_for_is_refused() -> None:
    found = obstacle(beside(row("long", "3")), trailing_step=Percent(D(1)))
    assert found[:2] == ("wrong", "trailing_step_percent")


def test_an_adoption_that_cannot_be_made_makes_nothing() -> None:
    for rig in (beside(), beside(row("long", "3"), price=90.0)):
        rig.handle(wanted(rig))
        assert rig.guardian.positions() == []
        (line,) = rig.last
        assert isinstance(line, AppendEvent)
        assert (line.kind, line.actor) == ("position.adoption_refused", "owner")
