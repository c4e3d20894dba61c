"""What begins by itself: somebody trades past us, and starts a second installation."""

from decimal import Decimal

from engine.model.order import OrderSide
from engine.simulation.mishaps import BACK_NS, PATIENCE_NS, TWIN
from engine.simulation.plan import Crash, Fault
from tests.engine.simulation.rig import MS, PERP, SECOND, Lived, plan

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
