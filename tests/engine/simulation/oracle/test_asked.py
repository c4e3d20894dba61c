from decimal import Decimal

from engine.model.exit_set import ExitChanges, Exits, amended
from engine.model.exits import AtPrice, Disarmed, Percent, Points
from engine.model.rules.break_even import BreakEven
from engine.model.rules.ladder import Rung
from engine.model.rules.time_stop import TimeStop
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from engine.simulation.oracle.asked import changed, of_signal, written

D = Decimal

LADDER = (Rung(Percent(D(1)), D("0.5")), Rung(Percent(D(2)), D("0.5")))
EXITS = Exits(
    Percent(D(5)),
    Percent(D(3)),
    trailing=Trailing(Percent(D(1)), Percent(D(2)), Points(D(3))),
    break_even=BreakEven(Percent(D(1)), D("0.2"), 1),
    ladder=LADDER[:1],
    time=TimeStop(100, 200),
)
CHANGES = (
    ExitChanges(),
    ExitChanges(take_profit=AtPrice(D(9)), stop_loss=Disarmed()),
    ExitChanges(trailing=Disarmed()),
    ExitChanges(trailing=Points(D(4)), trailing_step=Disarmed(), trailing_activation=Disarmed()),
    ExitChanges(break_even=Disarmed(), ladder=()),
    ExitChanges(break_even=Disarmed(), break_even_after_rung=0),
    ExitChanges(break_even_offset=Disarmed(), ladder=LADDER, break_even_after_rung=1),
    ExitChanges(max_hold_ns=0, close_at_ns=300),
    ExitChanges(confirm_ms=5, confirm_ticks=2),
)


def test_two_readings_of_an_amendment_agree():
    for changes in CHANGES:
        read = changed(written(EXITS, PriceSource.LAST), changes)
        assert read == written(amended(EXITS, changes), PriceSource.LAST), changes


def test_an_amendment_may_change_the_source():
    asked = changed(written(EXITS, PriceSource.LAST), ExitChanges(trigger=PriceSource.MARK))
    assert asked.trigger is PriceSource.MARK


def test_a_ladder_that_closes_all_takes_the_place_of_the_default_target():
    asked = of_signal(EXITS, PriceSource.LAST, ExitChanges(ladder=LADDER))
    assert asked.take_profit == Disarmed()
    asked = of_signal(EXITS, PriceSource.LAST, ExitChanges(take_profit=Percent(D(7))))
    assert (asked.take_profit, asked.ladder, asked.even_rung) == (Percent(D(7)), (), 0)


def test_the_earlier_deadline_holds():
    asked = written(EXITS, PriceSource.LAST)
    assert asked.deadline_ns(None) == 200
    assert asked.deadline_ns(50) == 150
    assert changed(asked, ExitChanges(max_hold_ns=0, close_at_ns=0)).deadline_ns(50) is None
