"""A lifetime as it happens: venues, prices, people, processes and faults on one virtual clock."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Protocol

from msgspec.structs import replace

from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.effects import Effects
from engine.model.events import Event
from engine.model.instrument import Instrument, InstrumentId
from engine.model.position import PositionStatus
from engine.model.signal import Action
from engine.model.ticks import MarkTick, QuoteTick, TradeTick
from engine.simulation.books import Books, BooksFactory, ModelBooks
from engine.simulation.exchange import Exchange
from engine.simulation.faults import Faults
from engine.simulation.history import Facts, History, Life, Venue
from engine.simulation.mishaps import TWIN, Mishaps
from engine.simulation.people import People
from engine.simulation.plan import Crash, Plan, PlannedSignal, PricePath, Print
from engine.simulation.prices import print_at, sweep
from engine.simulation.process import Process
from engine.simulation.rest import lacks_backstop, rest_of
from engine.simulation.rules import guard_config, venue_rules
from engine.simulation.virtual import VirtualLoop

OPENING = {"USDT": Decimal(10_000), "BNB": Decimal(100)}
REST_LIMIT_NS = 600 * NS_PER_SECOND
UNDER_WAY = (PositionStatus.OPENING, PositionStatus.CLOSING)
TICKS = (TradeTick, QuoteTick, MarkTick)
LOOK_NS = 500 * NS_PER_MS
RESTART_MS = 3000
MAX_ERRORS = 3
"""After so many errors of its own the service is not started again: the lifetime has failed."""

HOME = "home"
REST_LOOK_S = 1.0
CALM_NS = 2 * NS_PER_SECOND
CALM_MS = 2_000
LEAST_POSITIONS, LEAST_TICKS, TOP_UPS = 3, 200, 4
LATE, LATE_EVERY_MS = 900, 100
"""Numbers of the signals that top a lifetime up, and how often a price is made for it."""


class Storyteller(Protocol):
    """Takes the story of a lifetime as it happens."""

    def event(self, at_ns: int, life: int, event: Event, effects: Effects) -> None:
        """The guardian was told something, and answered."""

    def world(self, at_ns: int, text: str) -> None:
        """Something happened outside of the service."""


class World:
    """Everything there is in one lifetime."""

    def __init__(
        self,
        plan: Plan,
        loop: VirtualLoop,
        books: BooksFactory | None,
        story: Sequence[Storyteller] = (),
    ) -> None:
        self.plan = plan
        self.config = guard_config(plan)
        self.history = History()
        self.utc_error_ns = 0
        self.processes: list[Process] = []
        self.books: Books = books() if books is not None and plan.on_files else ModelBooks()
        self._loop = loop
        self._story = story
        self.faults = Faults(plan.faults, self.history, self._now)
        self.venues = {
            name: Exchange(venue_rules(name, plan), OPENING, self.faults, self._now, self.after)
            for name in sorted({path.instrument.id.venue for path in plan.paths})
        }
        self._paths: dict[InstrumentId, list[Print]] = {p.instrument.id: [] for p in plan.paths}
        self.history.prints = self._paths
        self._people = People(self)
        self._mishaps = Mishaps(self)
        self._died = asyncio.Event()
        self._last_ms = 0
        self._late = 0
        self._is_last = False

    # Time

    @property
    def now_ns(self) -> int:
        """Virtual time."""
        return self._loop.now_ns

    def _now(self) -> int:
        return self._loop.now_ns

    def after(self, delay_ns: int, function: Callable[..., None], *arguments: Any) -> None:
        """Have something happen later."""
        loop = self._loop
        loop.at(loop.time() + delay_ns / 1e9, function, *arguments)

    def _at(self, at_ms: int, function: Callable[..., None], *arguments: Any) -> None:
        self._loop.at(at_ms / 1000, function, *arguments)

    # Told by others

    def say(self, text: str) -> None:
        """Add a line to the story."""
        for teller in self._story:
            teller.world(self.now_ns, text)

    def trace(self, life: int, event: Event, effects: Effects) -> None:
        """Add what the guardian was told and answered to the story."""
        for teller in self._story:
            teller.event(self.now_ns, life, event, effects)

    @property
    def process(self) -> Process | None:
        """Whoever answers at the service's address: the newest process that is up."""
        return next((p for p in reversed(self.processes) if p.is_up), None)

    def on_ended(self, process: Process) -> None:
        """A process has ended."""
        self.processes.remove(process)
        if process.host == HOME:
            self._died.set()

    def is_trading(self, instrument: Instrument) -> Instrument:
        """Return an instrument as its venue lists it now."""
        delisted = self.faults.active("delist", instrument.id.venue, instrument.id) is not None
        return replace(instrument, trading=not delisted)

    def print_of(self, instrument: InstrumentId) -> Print | None:
        """What an instrument costs now."""
        made = self._paths[instrument]
        return made[-1] if made else None

    def prints_since(self, instrument: InstrumentId, since_ms: int) -> list[Print]:
        """What an instrument has cost since a moment."""
        return [p for p in self._paths[instrument] if p.at_ms >= since_ms]

    # Living

    async def live(self) -> None:
        """Live through the plan, heal, come to rest, and close what is left."""
        self._lay_out()
        lives = self._loop.create_task(self._lives())
        await self._until(self.plan.heal_ms * NS_PER_MS)
        self._heal()
        stages = (self._stay_calm, *[self._top_up] * TOP_UPS, self._sweep, self._close_all)
        for stage in stages:
            if (stage != self._top_up or self._lacks()) and not await self._rest(stage):
                break
            if stage == self._stay_calm:
                self._note_rest()
        lives.cancel()
        for process in list(self.processes):
            await process.stop()

    def _lay_out(self) -> None:
        plan = self.plan
        self._make_prices((path.instrument, path.prints) for path in plan.paths)
        for planned in plan.signals:
            for at_ms in planned.deliveries_ms:
                self._at(at_ms, self._people.deliver, planned)
        for act in plan.acts:
            self._at(act.at_ms, self._people.act, act)
        for fault in plan.faults:
            begin = self._mishaps.beginnings.get(fault.kind)
            if begin is not None:
                self._at(fault.at_ms, begin, fault)
        for crash in plan.crashes:
            self._at(crash.by_ms, self._kill, crash)
        self.after(LOOK_NS, self._look)

    def _make_prices(self, paths: Iterable[tuple[Instrument, Sequence[Print]]]) -> None:
        """Have prices made at their times; one at a time is laid out, so that few things wait."""
        prints = [(each.at_ms, instrument, each) for instrument, path in paths for each in path]
        prints.sort(key=lambda item: item[0])
        self._next_print(iter(prints))

    def _next_print(self, prints: Iterator[tuple[int, Instrument, Print]]) -> None:
        following = next(prints, None)
        if following is not None:
            at_ms, instrument, new = following
            self._at(at_ms, self._made, instrument, new, prints)

    def _made(
        self, instrument: Instrument, new: Print, prints: Iterator[tuple[int, Instrument, Print]]
    ) -> None:
        self._next_print(prints)
        self._print(instrument, new)

    def _print(self, instrument: Instrument, new: Print) -> None:
        """The market makes a price: the venue first, then whoever streams it."""
        self._paths[instrument.id].append(new)
        self.venues[instrument.id.venue].price(instrument, new)
        for process in list(self.processes):
            process.feeds[instrument.id.venue].on_print(instrument, new)

    def _look(self) -> None:
        """What happens by time alone: waiting orders, and streams that have gone silent."""
        for venue in self.venues.values():
            venue.pass_time()
        for process in list(self.processes):
            for feed in process.feeds.values():
                feed.check_age()
        self.after(LOOK_NS, self._look)

    def _kill(self, crash: Crash) -> None:
        for process in list(self.processes):
            if process.crash is crash:
                process.die("by time")

    async def _lives(self) -> None:
        """Keep the service up, as a supervisor does."""
        crashes = {crash.life: crash for crash in self.plan.crashes}
        starts = 0
        while True:
            self._died.clear()
            crash = crashes.get(starts)
            life = self.begin(crash if self.is_ill else None, HOME)
            await self._died.wait()
            if len(self.history.errors) >= MAX_ERRORS:
                return
            down_ms = RESTART_MS if crash is None else crash.down_ms
            if life.refused is None:
                starts += 1
            await asyncio.sleep(down_ms / 1000)

    def begin(self, crash: Crash | None, host: str) -> Life:
        """Start a process on a host."""
        number = len(self.history.lives)
        self.say(f"life {number} begins at {host}")
        process = Process(self, number, crash, host)
        self.processes.append(process)
        process.start()
        return process.life

    @property
    def is_ill(self) -> bool:
        """Whether faults are not healed yet."""
        return self.now_ns < self.plan.heal_ms * NS_PER_MS

    # The end

    def _heal(self) -> None:
        self.faults.heal()
        self.utc_error_ns = 0
        for exchange in self.venues.values():
            exchange.fill_whole()
        for process in list(self.processes):
            process.crash = None
            if process.host == TWIN:
                process.die("switched off")
        self.history.healed_ns = self.now_ns
        self.say("all faults are healed")

    async def _until(self, at_ns: int) -> None:
        await asyncio.sleep((at_ns - self.now_ns) / 1e9)

    async def _rest(self, stage: Callable[[], None]) -> bool:
        """Let something happen, then wait for rest; tells whether it came."""
        stage()
        limit_ns = self.history.healed_ns + REST_LIMIT_NS
        while self.now_ns < limit_ns and len(self.history.errors) < MAX_ERRORS:
            await asyncio.sleep(REST_LOOK_S)
            if self._is_quiet():
                self.history.quiet_ns = self.now_ns
                return True
        self.history.quiet_ns = None
        return False

    def _is_quiet(self) -> bool:
        """Tell whether everything has come to rest.

        What is stuck may be so because it is worth too little; at the end it must be sold.
        """
        process = self.process
        if process is None or len(self.processes) > 1 or self._last_ms * NS_PER_MS > self.now_ns:
            return False
        guardian = process.guardian
        return not (
            guardian.orders_in_flight()
            or process.flow.problems()
            or any(p.status in UNDER_WAY for p in guardian.positions())
            or (self._is_last and guardian.positions())
            or any(lacks_backstop(self.plan, self.venues, p) for p in guardian.positions())
        )

    def _note_rest(self) -> None:
        """Write down how everything stands, for who judges it."""
        self.history.rest = rest_of(self.now_ns, self.facts().positions, self.venues)

    def _stay_calm(self) -> None:
        """Let every instrument trade on at its last price, for as long as it takes."""
        now_ms = self.now_ns // NS_PER_MS
        for path in self.plan.paths:
            made = self._paths[path.instrument.id]
            price = made[-1].last if made else path.prints[0].last
            self._print(path.instrument, print_at(path.instrument, price, now_ms))
        self.after(CALM_NS, self._stay_calm)

    def _top_up(self) -> None:
        """See to it that there were enough positions and prices, also where most was refused."""
        lacking, ticks = self._lacks(), self._ticks()
        now_ms, paths = self.now_ns // NS_PER_MS, self.plan.paths
        for _ in range(lacking):
            self._late += 1
            instrument = paths[self._late % len(paths)].instrument
            name = f"late {self._late}"
            late = PlannedSignal(
                LATE + self._late, instrument, Action.BUY, (now_ms,), strategy=name
            )
            self._people.deliver(late)
            prints = [
                print_at(instrument, self._price_of(instrument), now_ms + LATE_EVERY_MS * place)
                for place in range(1, max(LEAST_TICKS - ticks, 0) + 1)
            ]
            self._make_prices([(instrument, prints)])
            self._last_ms = max(self._last_ms, now_ms + LATE_EVERY_MS * len(prints) + CALM_MS)

    def _lacks(self) -> int:
        """Return how many positions a lifetime lacks, one where it lacks prices."""
        opened = sum(1 for position in self.facts().positions if position.qty > 0)
        return max(LEAST_POSITIONS - opened, int(self._ticks() < LEAST_TICKS))

    def _ticks(self) -> int:
        return sum(1 for told in self.history.told if isinstance(told.event, TICKS))

    def _sweep(self) -> None:
        """Take prices through whatever limit is left."""
        now_ms, process = self.now_ns // NS_PER_MS, self.process
        held = set() if process is None else {p.instrument.id for p in process.flow.positions()}
        paths = [
            (path.instrument, _swept(path, self._price_of(path.instrument), now_ms))
            for path in self.plan.paths
            if path.instrument.id in held
        ]
        self._last_ms = max((prints[-1].at_ms for _, prints in paths), default=now_ms)
        self._make_prices(paths)

    def _price_of(self, instrument: Instrument) -> float:
        return self._paths[instrument.id][-1].last

    def _close_all(self) -> None:
        """The owner closes what no rule has closed."""
        self._is_last = True
        process = self.process
        if process is None:
            return
        self._people.close_all(process)

    # What is left

    def facts(self) -> Facts:
        """What storage holds."""
        return self.books.facts()

    def ends(self) -> dict[str, Venue]:
        """The venues' own books."""
        instruments = [path.instrument for path in self.plan.paths]
        return {name: exchange.end(instruments) for name, exchange in self.venues.items()}


def _swept(path: PricePath, price: float, from_ms: int) -> list[Print]:
    """Go through all limits from a price, and end where everything is worth enough to be sold."""
    prints = sweep(path.instrument, price, from_ms)
    ends_ms = prints[-1].at_ms + CALM_MS
    return [*prints, print_at(path.instrument, 2 * path.prints[0].last, ends_ms)]
