"""The demo on a terminal: a live table while it runs, and the summary at its end."""

from decimal import Decimal
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from api.demo.summary import Outcome

WORDS = ("instrument", "side", "ended")
STYLES = {"open": "green", "opening": "yellow", "closing": "yellow", "closed": "dim"}


class Screen:
    """A live table of positions over the last few messages."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._messages: list[str] = []
        self._positions: list[dict[str, Any]] = []
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, message: str) -> None:
        self._messages.append(message)
        self._draw()

    def show(self, positions: list[dict[str, Any]]) -> None:
        self._positions = positions
        self._draw()

    def _draw(self) -> None:
        lines = [Text(f"- {message}") for message in self._messages[-6:]]
        self._live.update(Group(positions_table(self._positions), *lines))


def positions_table(positions: list[dict[str, Any]]) -> Table:
    """Positions with price, distance to both limits and P&L."""
    table = Table(title="Tickguard demo: play money, real venue protocols", expand=True)
    for name in ("instrument", "side", "status"):
        table.add_column(name)
    for name in ("entry", "price", "to TP", "to SL", "P&L", "reaction"):
        table.add_column(name, justify="right")
    for position in reversed(positions):
        table.add_row(*_cells(position), style=STYLES.get(position["status"], "red"))
    return table


def _cells(position: dict[str, Any]) -> list[str]:
    price = position["exit_price"] or position["current_price"]
    closed = position["status"] == "closed"
    status = position["exit_reason"] if closed else position["status"]
    pnl = position["net_pnl"] if closed else position["unrealized_pnl"]
    reaction = position["reaction_ms"]
    return [
        f"{position['venue']}:{position['market']}:{position['symbol']}",
        position["side"],
        status or "",
        _short(position["entry_price"]),
        _short(price),
        _distance(price, position["take_profit"]),
        _distance(price, position["stop_loss"]),
        _short(pnl, 4),
        "" if reaction is None else f"{reaction:.2f} ms",
    ]


def _short(amount: str | None, places: int = 6) -> str:
    if amount is None:
        return ""
    text = f"{Decimal(amount):.{places}f}".rstrip("0").rstrip(".")
    return text or "0"


def _distance(price: str | None, limit: str | None) -> str:
    """How far the price has to move to a limit, in per cent of the price."""
    if price is None or limit is None or not Decimal(price):
        return ""
    return f"{(Decimal(limit) / Decimal(price) - 1) * 100:+.3f}%"


def print_outcome(console: Console, outcome: Outcome, where: str) -> None:
    """Print what was closed and why, the sums, and every complaint."""
    table = Table(title="How every position ended")
    for name in ("instrument", "side", "ended", "entry", "exit", "net P&L", "reaction"):
        table.add_column(
            name, justify="left" if name in ("instrument", "side", "ended") else "right"
        )
    for row in outcome.rows:
        reaction = row["reaction_ms"]
        table.add_row(
            f"{row['venue']}:{row['market']}:{row['symbol']}",
            row["side"],
            row["exit_reason"] or row["status"],
            _short(row["entry_price"]),
            _short(row["exit_price"]),
            _short(row["net_pnl"], 4),
            "" if reaction is None else f"{reaction:.2f} ms",
        )
    console.print(table)
    print_lines(console, outcome, where)


def print_lines(console: Console, outcome: Outcome, where: str) -> None:
    """Print the summary as plain lines."""
    for name, value in outcome.summary.items():
        console.print(f"{name}: {_words(value)}", highlight=False, soft_wrap=True)
    for complaint in outcome.complaints:
        console.print(f"WRONG: {complaint}", style="red", highlight=False, soft_wrap=True)
    if outcome.complaints:
        console.print(f"logs, databases and the sent frames are kept in {where}", soft_wrap=True)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)
