"""A venue that nets long and short, or keeps both, and one that is switched while we run."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.others import forget_linear
from engine.model.events import AccountReported
from engine.model.instrument import Instrument
from engine.model.order import OrderStatus
from engine.model.signal import Outcome
from tests.engine.core.accounts_rig import report, row, settled, told
from tests.engine.core.rig import BTC_PERP, BTC_SPOT, ETH_PERP, Rig

D = Decimal
WAS = {True: "hedge mode", False: "one-way mode"}


def refusal(rig: Rig, instrument: Instrument = BTC_PERP) -> str | None:
    """Why an entry is refused, None when it is made."""
    signal = rig.signal("buy", instrument)
    if signal.id in rig.guardian._state.waiting:
        rig.trade(100.0, instrument)
    record = rig.outcome(signal)
    return None if record.outcome is Outcome.PENDING else record.reason


@pytest.mark.parametrize("first", [True, False])
def test_the_mode_of_the_first_report_is_as_good_as_the_other(first: bool) -> None:
    rig = Rig()
    settled(rig, times=3, hedged=first)
    assert refusal(rig) is None
    assert told(rig, "venue.mode_changed") == []
    assert told(rig, "venue.mode_restored") == []


@pytest.mark.parametrize("first", [True, False])
def test_a_mode_that_is_switched_bars_entries_until_it_is_back(first: bool) -> None:
    rig = Rig()
    settled(rig, hedged=first)
    settled(rig, times=2, hedged=not first)
    assert refusal(rig) == (
        f"position_mode: bybit was switched to {WAS[not first]} while we run; switch it back to"
        f" {WAS[first]}, or start the service again when nothing is open there"
    )
    assert refusal(rig, BTC_SPOT) is None
    change = {"venue": "bybit", "was": WAS[first], "now": WAS[not first]}
    assert told(rig, "venue.mode_changed") == [change]
    settled(rig, times=2, hedged=first)
    assert told(rig, "venue.mode_restored") == [{"venue": "bybit", "now": WAS[first]}]
    assert refusal(rig) is None
    settled(rig, hedged=not first)
    assert len(told(rig, "venue.mode_changed")) == 2


def test_a_switch_of_another_venue_bars_nothing_here() -> None:
    rig = Rig()
    settled(rig)
    for hedged in (False, True):
        rig.wait(5)
        rig.handle(AccountReported("binance", (), (), rig.now, rig.monotonic_ns, hedged))
    assert [data["venue"] for data in told(rig, "venue.mode_changed")] == ["binance"]
    assert refusal(rig) is None


def test_an_entry_that_has_not_left_yet_waits_for_the_mode_too() -> None:
    rig = Rig()
    settled(rig)
    rig.signal("buy")
    rig.trade(100.0)
    entry = rig.submitted()[-1]
    settled(rig, hedged=True)
    assert (rig.guardian.entry_refusal(entry, rig.now) or "").startswith("position_mode: ")


def test_what_is_open_is_guarded_through_a_switch() -> None:
    rig = Rig()
    position = rig.open()
    settled(rig, row("long", "1"))
    settled(rig, row("long", "1"), hedged=True)
    rig.trade(95.0)
    assert [order.position_id for order in rig.exits()] == [position.id]
    rig.update(rig.exits()[0], OrderStatus.ACKNOWLEDGED)


def test_what_was_counted_as_not_ours_begins_anew_with_the_mode() -> None:
    rig = Rig()
    rig.open(instrument=ETH_PERP)
    eth = row("long", "1", instrument=ETH_PERP)
    settled(rig, eth, row("short", "2"))
    assert rig.guardian._state.foreign[BTC_PERP.id] == -2
    more = row("long", "3", instrument=ETH_PERP)
    settled(rig, more, row("short", "2"), hedged=True)  # the first report of this mode tells it
    accounts = rig.guardian._state.accounts
    assert {str(side): qty for (_, side), qty in accounts.legs.items()} == {"long": 2, "short": 2}
    assert rig.guardian._state.foreign == {}
    settled(rig, more, row("short", "2"))
    assert accounts.legs == {}
    assert rig.guardian._state.foreign == {BTC_PERP.id: -2, ETH_PERP.id: 2}


def test_what_is_counted_on_spot_and_elsewhere_outlives_a_switch() -> None:
    state = Rig().guardian._state
    elsewhere = replace(BTC_PERP.id, venue="binance")
    state.foreign = {BTC_SPOT.id: D(4), BTC_PERP.id: D(1), elsewhere: D(2)}
    state.accounts.based = {BTC_SPOT.id, BTC_PERP.id, elsewhere}
    forget_linear(state, "bybit")
    assert state.foreign == {BTC_SPOT.id: 4, elsewhere: 2}
    assert state.accounts.based == {BTC_SPOT.id, elsewhere}


def test_a_report_that_is_overtaken_switches_nothing() -> None:
    rig = Rig()
    settled(rig)
    report(rig, ago_s=3, hedged=True)
    assert told(rig, "venue.mode_changed") == []
