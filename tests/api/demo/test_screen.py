from io import StringIO
from typing import Any

from rich.console import Console

from api.demo.screen import Screen, positions_table, print_lines, print_outcome
from api.demo.summary import Outcome

OPEN: dict[str, Any] = {
    "venue": "bybit",
    "market": "linear",
    "symbol": "BTCUSDT",
    "side": "long",
    "status": "open",
    "exit_reason": None,
    "entry_price": "100.000",
    "current_price": "101.5",
    "exit_price": None,
    "take_profit": "115",
    "stop_loss": None,
    "unrealized_pnl": "0.123456",
    "net_pnl": "-0.05",
    "reaction_ms": None,
}
CLOSED = OPEN | {
    "status": "closed",
    "exit_reason": "take_profit",
    "exit_price": "115.10",
    "net_pnl": "15",
    "reaction_ms": 0.2345,
}
SUMMARY = {"ok": False, "closes": {"manual": 1, "signal": 2}, "venues": ["a", "b"], "x_s": 1.23456}


def console(*, terminal: bool = False) -> Console:
    return Console(
        file=StringIO(), width=160, markup=False, emoji=False, record=True, force_terminal=terminal
    )


def test_the_table_shows_price_distance_and_result() -> None:
    shown = console()
    shown.print(positions_table([OPEN, CLOSED]))
    first, second = (line for line in shown.export_text().splitlines() if "BTCUSDT" in line)
    assert "bybit:linear:BTCUSDT" in first
    assert [text in first for text in ("take_profit", "115.1", "15", "0.23 ms")] == [True] * 4
    assert [text in second for text in ("open", "101.5", "+13.300%", "0.1235")] == [True] * 4
    assert "ms" not in second


def test_what_is_not_known_yet_is_left_empty() -> None:
    shown = console()
    nothing = OPEN | {"status": "opening", "entry_price": None, "current_price": None}
    shown.print(positions_table([nothing | {"unrealized_pnl": None}]))
    [row] = (line for line in shown.export_text().splitlines() if "BTCUSDT" in line)
    assert "None" not in row
    assert "%" not in row


def test_the_screen_shows_positions_over_the_last_messages_and_then_clears_itself() -> None:
    shown = console(terminal=True)
    with Screen(shown) as screen:
        for number in range(8):
            screen.tell(f"message {number}")
        screen.show([OPEN])
        file = shown.file
        assert isinstance(file, StringIO)
    text = file.getvalue()
    assert "message 7" in text
    assert "bybit:linear:BTCUSDT" in text


def test_the_outcome_is_lines_that_stand_as_they_are() -> None:
    shown = console()
    complaint = "fill [x] bybit:spot:X: ledger :smile: 1, venue 2 " + "and so on " * 30
    print_lines(shown, Outcome(SUMMARY, [complaint], []), "the folder")
    lines = shown.export_text().splitlines()
    assert lines[:4] == [
        "ok: False",
        "closes: manual 1, signal 2",
        "venues: a, b",
        "x_s: 1.235",
    ]
    assert lines[4].rstrip() == f"WRONG: {complaint}".rstrip()
    assert lines[5].endswith("are kept in the folder")


def test_the_outcome_on_a_terminal_has_every_position() -> None:
    shown = console()
    print_outcome(shown, Outcome({"ok": True}, [], [OPEN, CLOSED]), "the folder")
    text = shown.export_text()
    assert text.count("bybit:linear:BTCUSDT") == 2
    assert "take_profit" in text
    assert text.rstrip().endswith("ok: True")
