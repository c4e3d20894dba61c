"""The judge on prices written by hand: what it must believe, and what it must not."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.demo.judge import ARMING_NS, REACTION_NS, Facts, Print, judge, read_prints, thresholds

MS = 1_000_000
S = 1000 * MS
ENTERED_NS = 100 * S
CLOSED_NS = 110 * S

# A long from 100 with limits at 102 and 99, closed at 102.5 in the tenth second.
CLOSED = Facts(
    position_id="p",
    instrument="bybit:linear:BTCUSDT",
    side="long",
    status="closed",
    exit_reason="take_profit",
    trigger_price=Decimal("102.5"),
    take_profit_percent=Decimal(2),
    stop_loss_percent=Decimal(1),
    entry_qty=Decimal(2),
    entry_value=Decimal(200),
    entered_ns=ENTERED_NS,
    exit_taken_ns=CLOSED_NS,
    tick_size=Decimal("0.1"),
)
OPEN = replace(CLOSED, status="open", exit_reason=None, trigger_price=None, exit_taken_ns=None)


def seen(at_ns: int, price: str, frame: int = 0, origin: str = "seeded") -> Print:
    return Print(frame or at_ns, at_ns, at_ns - MS, Decimal(price), origin)


QUIET = [seen(ENTERED_NS + second * S, "101.9") for second in range(2, 10)]
CAUSE = seen(CLOSED_NS - MS, "102.5")


def test_a_close_by_the_first_crossing_holds_and_tells_where_the_price_came_from() -> None:
    verdict = judge(CLOSED, [*QUIET, CAUSE], [])
    assert (verdict.ok, verdict.origin) == (True, "seeded")
    assert verdict.expected == "take_profit at 102.5"


@pytest.mark.parametrize(
    ("facts", "prints"),
    [
        (CLOSED, QUIET),  # nothing crossed
        (CLOSED, [*QUIET, seen(CLOSED_NS - MS, "102.6")]),  # not this price
        (CLOSED, [seen(ENTERED_NS + 5 * S, "103"), *QUIET, CAUSE]),  # another came first
        (CLOSED, [seen(ENTERED_NS + 5 * S, "98"), CAUSE]),  # the other limit came first
        (CLOSED, [*QUIET, seen(CLOSED_NS + 3 * MS, "102.5")]),  # the exit came before its cause
        (CLOSED, [seen(CLOSED_NS - REACTION_NS - MS, "102.5")]),  # acted upon much too late
        (CLOSED, [seen(ENTERED_NS - S, "102.5")]),  # before there was a position
        (replace(CLOSED, exit_reason="stop_loss"), [*QUIET, CAUSE]),
        (replace(CLOSED, trigger_price=None), [*QUIET, CAUSE]),
        (replace(CLOSED, exit_taken_ns=None), [*QUIET, CAUSE]),
        (replace(CLOSED, exit_reason="manual"), [*QUIET, CAUSE]),  # should have been closed before
        (replace(CLOSED, entry_qty=Decimal(0)), [*QUIET, CAUSE]),
        (OPEN, [*QUIET, CAUSE]),
        (replace(OPEN, status="closing"), QUIET),
        (replace(OPEN, status="stuck"), QUIET),
    ],
)
def test_it_does_not_hold(facts: Facts, prints: list[Print]) -> None:
    assert not judge(facts, prints, []).ok


def test_without_a_crossing_a_position_stays_open_or_is_closed_by_hand() -> None:
    assert judge(OPEN, QUIET, []).ok
    by_hand = judge(replace(CLOSED, exit_reason="signal", trigger_price=None), QUIET, [])
    assert (by_hand.ok, by_hand.origin) == (True, None)
    assert by_hand.expected == "no limit reached"


@pytest.mark.parametrize("early", [ENTERED_NS, ENTERED_NS + ARMING_NS])
def test_a_crossing_while_the_guard_is_being_armed_may_be_missed(early: int) -> None:
    assert judge(OPEN, [seen(early, "103"), *QUIET], []).ok
    assert judge(CLOSED, [seen(early, "103"), *QUIET, CAUSE], []).ok


def test_a_crossing_in_a_window_may_be_acted_upon_much_later_or_not_at_all() -> None:
    """An exit that died with its process is sent again by the next one."""
    window = (ENTERED_NS + 3 * S, ENTERED_NS + 6 * S)
    inside = seen(ENTERED_NS + 5 * S, "102.5")
    assert judge(CLOSED, [inside, *QUIET], [window]).ok
    assert judge(OPEN, [inside, *QUIET], [window]).ok
    assert not judge(OPEN, [inside, *QUIET], [(0, ENTERED_NS + 5 * S - 1)]).ok


def test_of_the_deciding_frame_each_crossing_price_may_be_the_cause() -> None:
    frame = [seen(CLOSED_NS - MS, price, frame=7) for price in ("102.1", "102.5", "102.2")]
    assert judge(CLOSED, frame, []).ok
    other = [frame[0], seen(CLOSED_NS - MS, "102.5", frame=8)]
    assert not judge(CLOSED, other, []).ok


def test_reaching_the_limit_exactly_counts() -> None:
    exact = replace(CLOSED, trigger_price=Decimal("102.0"))
    assert judge(exact, [seen(CLOSED_NS - MS, "102")], []).ok


def test_a_short_gains_where_a_long_loses() -> None:
    short = replace(CLOSED, side="short", trigger_price=Decimal("97.9"))
    assert thresholds(short) == (Decimal("101.0"), Decimal("98.0"))
    assert judge(short, [seen(CLOSED_NS - MS, "97.9")], []).ok
    lost = replace(short, exit_reason="stop_loss", trigger_price=Decimal(101))
    assert judge(lost, [seen(CLOSED_NS - MS, "101")], []).ok


def test_thresholds_are_rounded_so_that_they_trigger_no_later() -> None:
    uneven = replace(CLOSED, entry_qty=Decimal(3), entry_value=Decimal("300.5"))
    upper, lower = thresholds(uneven)
    entry = Decimal("300.5") / 3
    assert upper is not None
    assert lower is not None
    assert upper <= entry * Decimal("1.02") < upper + Decimal("0.1")
    assert lower - Decimal("0.1") < entry * Decimal("0.99") <= lower


def test_a_limit_that_is_off_has_no_threshold() -> None:
    off = replace(CLOSED, take_profit_percent=None, stop_loss_percent=Decimal(0))
    assert thresholds(off) == (None, None)
    assert not judge(off, [CAUSE], []).ok


def line(n: int, channel: str, market: str, frame: object, venue: str = "binance") -> str:
    row = {"n": n, "at_ns": 50 + n, "conn": "c", "venue": venue, "market": market}
    row |= {"symbol": "X", "channel": channel, "origin": "seeded", "frame": json.dumps(frame)}
    return json.dumps(row) + "\n"


def test_only_market_trades_are_prices(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_text(
        line(1, "trade", "spot", {"p": "1.5", "E": 3})
        + line(2, "trade", "linear", {"p": "9", "E": 3})  # USD-M: aggregates are what is traded
        + line(3, "aggTrade", "linear", {"stream": "s", "data": {"p": "2.5", "E": 4}})
        + line(4, "bookTicker", "spot", {"b": "9", "a": "9"})
        + line(
            5,
            "publicTrade",
            "spot",
            {"ts": 6, "data": [{"p": "3", "BT": False}, {"p": "9", "BT": True}]},
            venue="bybit",
        )
    )
    assert read_prints(path, epoch_offset_ns=1000) == {
        "binance:spot:X": [Print(1, 51, 3 * MS - 1000, Decimal("1.5"), "seeded")],
        "binance:linear:X": [Print(3, 53, 4 * MS - 1000, Decimal("2.5"), "seeded")],
        "bybit:spot:X": [Print(5, 55, 6 * MS - 1000, Decimal(3), "seeded")],
    }
