"""Reading the paper account: what is told, and in which order."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.guardian import Guardian
from engine.model.effects import ReadAccount
from engine.model.events import (
    AccountReported,
    ClockAdvanced,
    InstrumentRefreshed,
    OrderFilled,
    OrderLookedUp,
    Started,
)
from engine.model.exit_set import Exits
from engine.model.exits import Disarmed, ExitReason, Side
from engine.model.ids import Purpose, client_order_id
from engine.model.order import FillKind
from engine.model.position import Position, PositionStatus
from engine.model.ticks import PriceSource
from engine.ports import BrokerEvent
from engine.simulator.paper import PaperBroker
from engine.simulator.paper_store import PaperStore
from tests.engine.core.rig import config, position_id
from tests.engine.simulator.paper_parts import (
    BUY,
    MS,
    PERP,
    SPOT,
    D,
    ManualClock,
    mark,
    order,
    rules,
)
from tests.engine.simulator.paper_rig import OPENING, Guard, fill, running

KEY = position_id(1)
ENTRY = client_order_id(KEY, Purpose.ENTRY, 0)
SECOND = 1000 * MS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paper.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[PaperStore]:
    store = PaperStore(path, "bybit", busy_timeout_s=0.02)
    yield store
    store.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def account(store: PaperStore, clock: ManualClock, guard: Guard) -> PaperBroker:
    return PaperBroker(store, rules(leverage=D(10)), OPENING, clock, guard)


async def bought(broker: PaperBroker, guard: Guard, clock: ManualClock) -> None:
    """Hold a long of one unit at 100."""
    broker.submit(order(ENTRY, BUY, 1, instrument=PERP, position_id=KEY))
    fill(broker, clock, instrument=PERP)
    await guard.end_of(ENTRY)


async def test_a_report_holds_what_was_told_before_it(
    path: Path, store: PaperStore, clock: ManualClock
) -> None:
    guard = Guard(path)
    broker = account(store, clock, guard)
    async with running(broker):
        broker.submit(order(ENTRY, BUY, 1, instrument=PERP))
        broker.submit(order("spot", BUY, 2, instrument=SPOT))
        fill(broker, clock, instrument=PERP)
        fill(broker, clock, instrument=SPOT)
        asked_ns = clock.at_ns
        broker.read_account(())
        clock.at_ns += SECOND
        (report,) = await guard.wait_for(AccountReported)
    assert len(guard.of(OrderFilled)) == 2
    assert guard.told.index(report) > max(map(guard.told.index, guard.of(OrderFilled)))
    assert report.as_of_ns == asked_ns
    (held,) = report.positions
    assert (held.instrument, held.side, held.qty) == (PERP.id, Side.LONG, 1)
    assert D(90) < held.liquidation_price < D(91)
    assert {b.asset: b.total for b in report.balances}["BTC"] == D("1.998")


async def test_executions_of_this_run_are_told_once_however_often_the_account_is_read(
    path: Path, store: PaperStore, clock: ManualClock
) -> None:
    guard = Guard(path)
    broker = account(store, clock, guard)
    async with running(broker):
        await bought(broker, guard, clock)
        broker.on_tick(mark(50.0))
        for _ in range(3):
            broker.read_account(())
        reports = await guard.wait_for(AccountReported, 3)
    fills = [event.fill for event in guard.of(OrderFilled)]
    assert [one.kind for one in fills] == [FillKind.TRADE, FillKind.LIQUIDATION]
    assert [report.positions for report in reports] == [(), (), ()]


async def test_the_first_reading_tells_the_liquidations_of_the_run_before_once_more(
    path: Path, store: PaperStore, clock: ManualClock
) -> None:
    before = Guard(path)
    broker = account(store, clock, before)
    async with running(broker):
        await bought(broker, before, clock)
        broker.on_tick(mark(50.0))
        await before.wait_for(OrderFilled, 2)
    liquidation = before.of(OrderFilled)[1].fill

    after = Guard(path)
    broker = account(store, clock, after)
    async with running(broker):
        broker.read_account(())
        broker.read_account(())
        await after.wait_for(AccountReported, 2)
    assert [event.fill for event in after.of(OrderFilled)] == [liquidation]


async def test_an_instrument_is_refreshed_with_the_filters_it_came_with(
    path: Path, store: PaperStore, clock: ManualClock
) -> None:
    guard = Guard(path)
    broker = account(store, clock, guard)
    async with running(broker):
        broker.refresh(PERP)
        (answer,) = await guard.wait_for(InstrumentRefreshed)
    assert answer.instrument == PERP


class Process:
    """A guardian on a paper account, without a flow: commands and events meet at once."""

    def __init__(self, broker: PaperBroker, clock: ManualClock) -> None:
        self.guardian = Guardian(config())
        self.broker = broker
        self.clock = clock
        self.effects: list[object] = []

    def take(self, event: BrokerEvent | ClockAdvanced | Started) -> None:
        effects = self.guardian.handle(event)
        self.effects.extend(effects)
        for effect in effects:
            if isinstance(effect, ReadAccount):
                self.broker.read_account(())

    def tick(self) -> None:
        self.take(ClockAdvanced(self.clock.now_ns(), self.clock.monotonic_ns()))

    def start(self, position: Position) -> None:
        """Find a position in the ledger; the account has no exit of it."""
        self.tick()
        self.take(Started(self.clock.now_ns(), accepting=True, positions=(position,)))
        for generation in range(4):
            key = client_order_id(KEY, Purpose.EXIT, generation)
            self.take(OrderLookedUp(key, self.clock.now_ns(), found=False, certain=True))


def journalled(entry_time_ns: int) -> Position:
    """What the ledger has of the long: open, nothing closed."""
    return Position(
        id=KEY,
        instrument=PERP,
        side=Side.LONG,
        exits=Exits(Disarmed(), Disarmed()),
        trigger=PriceSource.LAST,
        created_at_ns=entry_time_ns,
        status=PositionStatus.OPEN,
        qty=D(1),
        entry_value=D(100),
        entry_time_ns=entry_time_ns,
    )


async def test_a_liquidation_that_was_never_journalled_is_booked_after_the_start(
    path: Path, store: PaperStore, clock: ManualClock
) -> None:
    before = Guard(path)
    broker = account(store, clock, before)
    async with running(broker):
        await bought(broker, before, clock)
        clock.at_ns += SECOND
        broker.on_tick(mark(50.0))
        await before.wait_for(OrderFilled, 2)
    entry, liquidation = (event.fill for event in before.of(OrderFilled))

    after = Guard(path)
    broker = account(store, clock, after)
    process = Process(broker, clock)
    after.react = process.take
    async with running(broker):
        process.start(journalled(entry.time_ns))
        for count in (1, 2):
            clock.at_ns += 6 * SECOND
            process.tick()
            await after.wait_for(AccountReported, count)
    assert process.guardian.positions() == []
    closed = [e.position for e in process.effects if hasattr(e, "position")][-1]
    assert (closed.status, closed.exit_reason) == (PositionStatus.CLOSED, ExitReason.LIQUIDATION)
    assert closed.exit_value == liquidation.price
