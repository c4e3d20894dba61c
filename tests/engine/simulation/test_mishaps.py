"""What begins by itself: somebody trades past us, and starts a second installation."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import Fill, FillKind, OrderSide
from engine.simulation.mishaps import BACK_NS, PATIENCE_NS, TWIN
from engine.simulation.plan import Crash, Fault
from engine.simulation.world import World
from tests.engine.simulation.rig import MS, PERP, SECOND, SPOT, Lived, calm, plan, signal

ADDED_MS = 5000


def adding(at_ms: int = ADDED_MS) -> Lived:
    return Lived(plan(Fault("ext_add", at_ms, 1, instrument=PERP.id, amount=0.5)))


def test_what_somebody_adds_by_hand_he_takes_back_later() -> None:
    fills = [fill for fill in adding().ends["bybit"].fills if fill.client_order_id is None]
    assert [fill.side for fill in fills] == [OrderSide.BUY, OrderSide.SELL]
    assert fills[0].qty == fills[1].qty
    assert fills[1].time_ns - fills[0].time_ns == BACK_NS


def test_nothing_is_taken_back_once_all_is_healed() -> None:
    lived = adding(at_ms=15_000)
    fills = [fill for fill in lived.ends["bybit"].fills if fill.client_order_id is None]
    assert [fill.side for fill in fills] == [OrderSide.BUY]


def test_nothing_is_taken_back_that_is_gone() -> None:
    closed = Fault("ext", ADDED_MS + 1000, 1, instrument=PERP.id, amount=1.0)
    added = Fault("ext_add", ADDED_MS, 1, instrument=PERP.id, amount=0.5)
    lived = Lived(plan(added, closed))
    assert lived.ends["bybit"].held[PERP.id] == Decimal(0)
    fills = [fill for fill in lived.ends["bybit"].fills if fill.client_order_id is None]
    assert len(fills) == 2


def test_a_second_installation_is_refused_and_tries_again_each_second() -> None:
    lived = Lived(plan(Fault("twin", ADDED_MS, 3000)))
    twins = [life for life in lived.history.lives if life.host == TWIN]
    assert all(life.refused for life in twins)
    began_ns = [life.began_ns for life in twins]
    assert began_ns == [ADDED_MS * MS + n * SECOND for n in range(len(twins))]
    assert len(twins) == 20_000 // 1000 - ADDED_MS // 1000  # until all is healed


def test_it_gives_up_after_a_while() -> None:
    lived = Lived(plan(Fault("twin", 1000, 3000), heal_ms=30_000))
    twins = [life for life in lived.history.lives if life.host == TWIN]
    assert twins[-1].began_ns == 1000 * MS + PATIENCE_NS


def test_it_takes_over_from_a_process_that_has_died() -> None:
    lived = Lived(plan(Fault("twin", ADDED_MS, 3000), crashes=(Crash(0, 999, True, 6000, 9000),)))
    newest = max(lived.history.lives, key=lambda life: life.epoch * (life.host == TWIN))
    assert newest.epoch == 2
    assert newest.refused is None


def foreign(lived: Lived) -> list[Fill]:
    return [fill for fill in lived.ends["bybit"].fills if fill.client_order_id is None]


def by_hand(kind: str, instrument: Instrument = PERP, amount: float = 0.5) -> Lived:
    """A life of one position, and something past it."""
    fault = Fault(kind, ADDED_MS, 1, instrument=instrument.id, amount=amount)
    signals = (signal(instrument=instrument),)
    return Lived(plan(fault, paths=(calm(instrument),), signals=signals))


def test_a_share_of_what_is_held_is_sold_by_hand() -> None:
    lived = by_hand("ext")
    (sold,) = foreign(lived)
    assert (sold.side, sold.qty) == (OrderSide.SELL, lived.entry.order.qty / 2)
    assert (sold.kind, lived.strikes("ext")) == (FillKind.TRADE, [ADDED_MS * MS])


def test_the_venue_liquidates_the_whole_position() -> None:
    lived = by_hand("liq")
    (taken,) = foreign(lived)
    assert (taken.kind, taken.qty) == (FillKind.LIQUIDATION, lived.entry.order.qty)
    assert lived.strikes("liq") == [ADDED_MS * MS]


def test_spot_is_not_liquidated() -> None:
    lived = by_hand("liq", SPOT)
    assert foreign(lived) == []
    assert lived.strikes("liq") == []


@pytest.mark.parametrize("kind", ["ext", "liq"])
def test_where_nothing_is_held_nothing_is_taken(kind: str) -> None:
    lived = Lived(plan(Fault(kind, 1000, 1, instrument=PERP.id, amount=0.5)))
    assert foreign(lived) == []
    assert lived.strikes(kind) == []


def test_who_adds_to_nothing_buys_the_least() -> None:
    lived = Lived(plan(Fault("ext_add", 1000, 1, instrument=PERP.id, amount=0.5), signals=()))
    assert foreign(lived)[0].qty == PERP.min_qty


def test_nothing_is_traded_on_what_is_not_named_or_has_no_price() -> None:
    lived = Lived(plan(Fault("ext_add", ADDED_MS, 1), Fault("ext_add", 50, 1, instrument=PERP.id)))
    assert foreign(lived) == []
    assert lived.strikes("ext_add") == []


def test_nobody_stalls_while_nobody_is_there() -> None:
    crashes = (Crash(0, 999, False, ADDED_MS - 100, 3000),)
    assert Lived(plan(Fault("stall", ADDED_MS, 1000), crashes=crashes)).strikes("stall") == []


def test_orders_fill_in_parts_at_the_venue_that_is_named() -> None:
    both = (calm(), calm(replace(PERP, id=InstrumentId("binance", Market.LINEAR, "BTCUSDT"))))
    seen = []

    def look(world: World) -> None:
        seen.append({name: venue.model.rules.rests for name, venue in world.venues.items()})

    for venue in ("bybit", None):
        Lived(plan(Fault("partial", ADDED_MS, 2000, 9, venue=venue), paths=both), {6000: look})
    assert seen == [{"binance": False, "bybit": True}, {"binance": True, "bybit": True}]
