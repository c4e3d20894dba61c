"""Scripted prices: a CSV file played once, stretches asked for over control, derived marks."""

import asyncio
import csv
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from engine.model.errors import Misconfigured
from engine.model.instrument import InstrumentId
from engine.simulator.market import InstrumentState, MarketPlace
from engine.simulator.market_listings import Listings
from engine.simulator.market_pace import Pace

MARK_INTERVAL_S = 1.0
EPOCH_LIKE_MS = 100_000_000_000
"""``time_ms`` from here on is an instant, not an offset; the first row is then the start."""


class ScriptRow(Struct, frozen=True):
    """One price step, ``at_s`` seconds of source time after the start."""

    at_s: float
    instrument: InstrumentId
    price: Decimal


def read_script(path: Path, listings: Listings) -> list[ScriptRow]:
    """Read a price script: columns ``time_ms`` or ``seconds``, ``instrument``, ``price``.

    Raises:
        Misconfigured: the file, a column or a field is not usable; names it and the remedy.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            time_column = _time_column(path, reader.fieldnames or ())
            lines = list(reader)
    except OSError as error:
        raise Misconfigured(f"{path.name} cannot be read: {error.strerror}") from error
    rows = [_row(path, number, line, time_column, listings) for number, line in enumerate(lines, 2)]
    if not rows:
        raise Misconfigured(f"{path.name} holds no prices; add rows below its header")
    rows.sort(key=lambda row: row.at_s)
    if time_column == "time_ms" and rows[0].at_s * 1000 >= EPOCH_LIKE_MS:
        start_s = rows[0].at_s
        rows = [ScriptRow(row.at_s - start_s, row.instrument, row.price) for row in rows]
    return rows


def _time_column(path: Path, names: Sequence[str]) -> str:
    missing = [name for name in ("instrument", "price") if name not in names]
    found = [name for name in ("time_ms", "seconds") if name in names]
    if missing or len(found) != 1:
        raise Misconfigured(
            f"{path.name} has the columns {', '.join(names) or 'none'}; its first line must be "
            "'seconds,instrument,price' or 'time_ms,instrument,price'"
        )
    return found[0]


def _row(
    path: Path, number: int, line: dict[str, str], time_column: str, listings: Listings
) -> ScriptRow:
    where = f"{path.name} line {number}"
    at = _number(where, time_column, line[time_column])
    if at < 0:
        raise Misconfigured(f"{where}: {time_column} {at} is negative; write 0 or more")
    price = parse_price(line["price"])
    if price is None:
        raise Misconfigured(f"{where}: price {line['price']!r} is not a positive decimal number")
    try:
        instrument = InstrumentId.parse(line["instrument"] or "")
    except ValueError as error:
        raise Misconfigured(f"{where}: instrument: {error}") from error
    if listings.get(instrument) is None:
        raise Misconfigured(f"{where}: instrument {instrument} is not listed; see instruments-info")
    return ScriptRow(float(at) / (1000 if time_column == "time_ms" else 1), instrument, price)


def _number(where: str, field: str, text: str | None) -> Decimal:
    try:
        value = Decimal((text or "").strip())
    except InvalidOperation:
        raise Misconfigured(f"{where}: {field} {text!r} is not a number") from None
    if not value.is_finite():
        raise Misconfigured(f"{where}: {field} {text!r} is not a number")
    return value


def parse_price(value: object) -> Decimal | None:
    """Read a price from JSON or CSV; None unless it is a finite, positive decimal number."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        price = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return price if price.is_finite() and price > 0 else None


class ScriptSource:
    """Plays a price script once; the last prices stay."""

    def __init__(self, market: MarketPlace, pace: Pace, rows: Sequence[ScriptRow]) -> None:
        self._market = market
        self._pace = pace
        self._rows = rows

    async def run(self) -> None:
        for row in self._rows:
            await self._pace.until(row.at_s)
            self._market.state(row.instrument).scripted = True
            self._market.script(row.instrument, row.price)


class MarkSource:
    """Sends each second a mark for the linear instruments whose mark is not recorded."""

    def __init__(self, market: MarketPlace, pace: Pace) -> None:
        self._market = market
        self._pace = pace

    async def run(self) -> None:
        due_s = 0.0
        while True:
            due_s += MARK_INTERVAL_S
            await self._pace.until(due_s)
            for state in self._market.active():
                if state.derives_mark:
                    self._market.derive_mark(state)


class Owner(Protocol):
    """The source that owns an instrument's price while no script does."""

    def release(self, state: InstrumentState) -> None:
        """Take the price back."""


class Overrides:
    """Scripted prices over control: single ones, stretches, and the release to the source."""

    def __init__(self, market: MarketPlace, tasks: asyncio.TaskGroup) -> None:
        self._market = market
        self._tasks = tasks
        self._owners: dict[InstrumentId, Owner] = {}
        self._holds: set[InstrumentId] = set()
        self._paths: dict[InstrumentId, asyncio.Task[None]] = {}

    def own(self, instrument: InstrumentId, owner: Owner, *, holds: bool) -> None:
        """Name an instrument's source; with ``holds`` a script keeps it silent until released."""
        self._owners[instrument] = owner
        if holds:
            self._holds.add(instrument)

    def price(self, instrument: InstrumentId, price: Decimal) -> Decimal:
        """Send a price at once. A walk goes on from it; a recording waits for its release."""
        self._stop_path(instrument)
        state = self._market.state(instrument)
        traded = self._market.script(instrument, price)
        self._settle(state)
        return traded

    def release(self, instrument: InstrumentId) -> None:
        """Give the price back to the instrument's source."""
        self._stop_path(instrument)
        state = self._market.state(instrument)
        owner = self._owners.get(instrument)
        if owner is not None:
            state.scripted = False
            owner.release(state)

    def path(self, instrument: InstrumentId, prices: Sequence[Decimal], interval_s: float) -> None:
        """Send prices one by one, the first at once, ``interval_s`` real seconds apart."""
        self._stop_path(instrument)
        self._market.state(instrument).scripted = True
        self._paths[instrument] = self._tasks.create_task(
            self._play(instrument, prices, interval_s)
        )

    async def _play(
        self, instrument: InstrumentId, prices: Sequence[Decimal], interval_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for index, price in enumerate(prices):
            await asyncio.sleep(max(start_s + index * interval_s - loop.time(), 0))
            self._market.script(instrument, price)
        del self._paths[instrument]
        self._settle(self._market.state(instrument))

    def _settle(self, state: InstrumentState) -> None:
        """Decide who speaks after a scripted price: walks go on, all else stays scripted."""
        instrument = state.listing.id
        owner = self._owners.get(instrument)
        state.scripted = owner is None or instrument in self._holds
        if owner is not None and not state.scripted:
            owner.release(state)

    def stop(self) -> None:
        """End all stretches."""
        for instrument in list(self._paths):
            self._stop_path(instrument)

    def _stop_path(self, instrument: InstrumentId) -> None:
        task = self._paths.pop(instrument, None)
        if task is not None:
            task.cancel()
