"""When a venue's account is read."""

from decimal import Decimal

from engine.model.effects import ReadAccount
from engine.model.instrument import Market
from engine.model.position import Position
from tests.engine.core.accounts_rig import reads, report, resumed, row, settled
from tests.engine.core.restarts import opened
from tests.engine.core.rig import ETH_PERP, Rig

D = Decimal


def holding() -> tuple[Rig, Position]:
    """A long of one unit at 100."""
    rig = Rig()
    return rig, rig.open()


def test_every_account_is_read_at_the_start_and_each_interval_though_nothing_is_open() -> None:
    rig = Rig(
        fee_rates={(venue, market): D(0) for venue in ("binance", "bybit") for market in Market}
    )
    assert [e.venue for e in rig.effects if isinstance(e, ReadAccount)] == ["binance", "bybit"]
    for _ in range(29):
        rig.wait(1)
        assert reads(rig) == 0
    rig.wait(1)
    assert reads(rig) == 2


def test_what_a_start_found_open_is_read_again_soon() -> None:
    rig, _ = opened()
    rig.wait(5)
    assert reads(rig) == 1


def test_an_account_is_read_each_interval_once_it_agrees() -> None:
    rig, _ = holding()
    rig.wait(0.2)
    settled(rig, row("long", "1"))
    for _ in range(29):
        rig.wait(1)
        assert reads(rig) == 0
    rig.wait(1)
    assert reads(rig) == 1


def test_the_interval_is_the_owners() -> None:
    rig = Rig(monitor_interval_ns=2 * 10**9)
    rig.open()
    rig.wait(0.2)
    settled(rig, row("long", "1"))
    rig.wait(1)
    rig.wait(1)
    assert reads(rig) == 1


def test_an_unanswered_request_is_made_again_soon() -> None:
    rig, _ = holding()
    rig.wait(0.2)
    rig.wait(4)
    assert reads(rig) == 0
    rig.wait(1)
    assert reads(rig) == 1


def test_an_account_is_read_soon_while_a_difference_stands() -> None:
    rig, _ = holding()
    settled(rig, row("long", "1"))
    rig.wait(30)
    for _ in range(5):
        report(rig)
        rig.wait(4.9)
        assert reads(rig) == 0
        rig.wait(0.1)
        assert reads(rig) == 1


def test_an_account_is_read_soon_after_a_report_that_did_not_count() -> None:
    rig, position = holding()
    settled(rig, row("long", "1"))
    rig.wait(30)
    rig.close(position, "0.5")
    report(rig, row("long", "1"))
    rig.wait(5)
    assert reads(rig) == 1


def test_an_instrument_that_no_report_has_told_of_is_read_soon() -> None:
    rig, _ = holding()
    rig.wait(0.2)
    settled(rig, row("long", "1"))
    rig.wait(5)
    assert reads(rig) == 0
    rig.open(instrument=ETH_PERP)
    rig.wait(0.2)
    assert reads(rig) == 1


def test_after_a_gap_the_account_is_read_and_every_order_that_left_is_asked_for() -> None:
    rig, position = holding()
    rig.wait(0.2)
    rig.close(position, "0.5")
    resumed(rig)
    assert (reads(rig), rig.asked()) == (1, [])  # not sent yet: absent would prove nothing
    rig.sent(rig.exits()[0])
    resumed(rig)
    assert (reads(rig), rig.asked()) == (1, [rig.exits()[0].client_order_id])
    rig.wait(0.1)
    assert reads(rig) == 0


def test_after_a_gap_of_another_venue_no_order_of_this_one_is_asked_for() -> None:
    rig, position = holding()
    rig.close(position)
    rig.sent(rig.exits()[0])
    resumed(rig, "binance")
    assert rig.last == (ReadAccount("binance"),)


def test_after_a_gap_the_account_is_read_though_nothing_is_open() -> None:
    rig = Rig()
    resumed(rig)
    assert rig.last == (ReadAccount("bybit"),)
