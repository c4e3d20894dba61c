"""Reads the stories in ``*.txt`` and tells them to a real guardian.

A story begins with ``buy PRICE`` or ``sell PRICE`` and the position's exit rules: a position of one
BTC is opened there, on a grid of 0.1, with a taker fee of 0.055 %. Then, a line each:

    last 95.0, mark 95.0, book 94.9/95.1    a price of that source
    wait 0.5s                               time without a price
    amend RULES                             the owner changes rules
    filled 95.0                             the venue fills what was last asked for
    shows trailing 97                       a rule and its threshold, as GET /positions shows them

What follows ``->`` has to happen then, in this order, and nothing else: ``close QTY REASON``,
``stop moves to PRICE``, ``trailing follows from PRICE``, ``rung N``. Percentages end in %; what has
none is an absolute price, for distances one in quote asset. ``0`` takes a rule away.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.model.effects import AppendEvent, SubmitOrder
from engine.model.exit_lines import exit_lines
from engine.model.exit_set import Exits
from engine.model.exits import AtPrice, Disarmed, Percent, Points
from engine.model.money import plain
from engine.model.rules.ladder import Ladder, Rung
from engine.model.ticks import MarkTick, PriceSource, QuoteTick, TradeTick
from tests.engine.core.rig import BTC_PERP, SECOND, T0, Rig

DISTANCES = {"trailing", "trailing_step"}
NUMBERS = {"confirm_ms", "confirm_ticks", "break_even_after_rung"}
TIMES = {"max_hold": "max_hold_ns", "close_at": "close_at_ns"}


@dataclass
class Story:
    """A position and what becomes of it; lines with their numbers in the file."""

    file: Path
    lines: list[tuple[int, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.file.stem}:{self.lines[0][0]}"


def stories(file: Path) -> list[Story]:
    found: list[Story] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        text = line.split("#")[0].strip()
        if text.startswith(("buy ", "sell ")):
            found.append(Story(file))
        if text:
            found[-1].lines.append((number, text))
    return found


def rules(words: list[str]) -> dict[str, Any]:
    """Read ``name=value`` as the fields of ``ExitChanges``."""
    found: dict[str, Any] = {}
    for word in words:
        name, text = word.split("=")
        if name in TIMES:
            start_ns = T0 if name == "close_at" else 0
            found[TIMES[name]] = start_ns + int(Decimal(text.rstrip("s")) * SECOND)
        elif name in NUMBERS:
            found[name] = int(text)
        elif name == "trigger":
            found[name] = PriceSource(text)
        elif name == "break_even_offset":
            found[name] = Decimal(text.rstrip("%"))
        elif name == "ladder":
            found[name] = ladder(text)
        else:
            found[name] = limit(name, text)
    return found


def limit(name: str, text: str) -> Percent | AtPrice | Points | Disarmed:
    if text == "0":
        return Disarmed()
    if text.endswith("%"):
        return Percent(Decimal(text.rstrip("%")))
    return Points(Decimal(text)) if name in DISTANCES else AtPrice(Decimal(text))


def ladder(text: str) -> Ladder:
    """Read ``PROFIT:FRACTION`` with commas between."""
    rungs = []
    for rung in text.split(","):
        at, fraction = rung.split(":")
        price = limit("ladder", at)
        if not isinstance(price, Percent | AtPrice):
            raise TypeError(rung)
        rungs.append(Rung(price, Decimal(fraction)))
    return tuple(rungs)


def told(effects: list[Any]) -> Iterator[str]:
    """Say what a guardian did."""
    for effect in effects:
        if isinstance(effect, SubmitOrder):
            yield f"close {plain(effect.order.qty)} {effect.order.reason}"
        elif isinstance(effect, AppendEvent):
            if effect.kind == "position.stop_moved":
                yield f"stop moves to {plain(Decimal(effect.data['stop_loss']))}"
            elif effect.kind == "position.trailing_activated":
                yield f"trailing follows from {effect.data['price']}"
            elif effect.kind == "position.rung_reached":
                yield f"rung {effect.data['rung']}"


class Teller:
    """Tells one story to one guardian."""

    def __init__(self) -> None:
        self.rig = Rig(exits=Exits(Disarmed(), Disarmed()), position_size=Decimal(100))
        self._shown = 0

    def tell(self, line: str) -> list[str]:
        """Do what a line says; returns what happens."""
        verb, *words = line.split()
        self._shown = len(self.rig.effects)
        if verb in {"buy", "sell"}:
            self.rig.open(verb, words[0], **rules(words[1:]))
            return []
        if verb == "shows":
            self._shows(" ".join(words))
        elif verb == "wait":
            self.rig.wait(float(words[0].rstrip("s")))
        elif verb == "amend":
            self.rig.amend(self._id, **rules(words))
        elif verb == "filled":
            self.rig.filled(self.rig.exits()[-1], words[0])
        else:
            self._price(verb, words[0])
        return list(told(self.rig.effects[self._shown :]))

    @property
    def _id(self) -> str:
        return self.rig.submitted()[0].position_id

    def _price(self, source: str, text: str) -> None:
        rig, market = self.rig, BTC_PERP.id
        if source == "last":
            rig.handle(TradeTick(market, float(text), 0, 0, rig.monotonic_ns))
        elif source == "mark":
            rig.handle(MarkTick(market, float(text), None, 0, 0, rig.monotonic_ns))
        elif source == "book":
            bid, ask = map(float, text.split("/"))
            rig.handle(QuoteTick(market, bid, ask, 1.0, 1.0, 0, 0, rig.monotonic_ns))
        else:
            raise ValueError(source)

    def _shows(self, wanted: str) -> None:
        found = [
            f"{line.rule} {plain(line.threshold)}"
            for position in self.rig.guardian.positions()
            for line in exit_lines(position)
            if line.threshold is not None
        ]
        assert wanted in found, f"it shows {found}"
