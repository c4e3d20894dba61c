"""The paper account as a broker: live prices, no money.

Requests and prices reach the venue model at once, in memory. What they change is written to the
account's own record in a worker thread, and only then told to us: like an exchange, it never
answers with something that it could forget.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from decimal import Decimal

import structlog

from engine.clock import NS_PER_MS
from engine.model.errors import Retryable
from engine.model.events import (
    InstrumentRefreshed,
    OrderFilled,
    OrderSent,
    VenuePosition,
)
from engine.model.instrument import Instrument
from engine.model.order import Order
from engine.model.ticks import Tick
from engine.ports import BrokerEvent, BrokerSink, Clock
from engine.simulator.matching import VenueModel, VenueRules
from engine.simulator.paper_store import Changes, PaperStore, take_changes

ADVANCE_PERIOD_S = 0.05
WRITE_RETRY_S = 0.5

log = structlog.get_logger(__name__)


class PaperBroker:
    """One venue's paper account, behind the broker port."""

    def __init__(
        self,
        store: PaperStore,
        rules: VenueRules,
        opening: dict[str, Decimal],
        clock: Clock,
        sink: BrokerSink,
    ) -> None:
        self.venue = rules.venue
        self._store = store
        self._clock = clock
        self._sink = sink
        first_id = clock.now_ns() // NS_PER_MS * 1000
        self._model: VenueModel = store.load(rules, opening, first_id, clock.monotonic_ns())
        self._positions: Sequence[VenuePosition] = self._model.venue_positions()
        traded = [known.order.instrument for known in self._model.orders.values()]
        self._of_before = store.liquidations(traded)
        self._answers: deque[BrokerEvent] = deque()
        self._wake = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None
        self._stopping = False

    # The broker port

    def submit(self, order: Order) -> None:
        """Hand an order to the venue model at once."""
        now_ns, time_ns = self._clock.monotonic_ns(), self._clock.now_ns()
        self._answer([OrderSent(order.client_order_id, time_ns, now_ns)])
        self._answer(self._model.submit(order, now_ns, time_ns))

    def cancel(self, order: Order) -> None:
        """Cancel what is left of an order; an order that is done answers nothing."""
        self._answer(self._model.cancel_rest(order.client_order_id, self._clock.now_ns()))

    def look_up(self, order: Order) -> None:
        """Answer from the books as they are now, after what is told before it."""
        self._answer([self._model.look_up(order.client_order_id, self._clock.now_ns())])

    def read_account(self, instruments: Sequence[Instrument]) -> None:
        """Tell what the account holds now, after what is told before it.

        Every execution of this run is told as it happens, so none is made and not told. The run
        before may have ended between the account's record and our journal: its liquidations are
        told once more. The fills of orders are looked up with them.
        """
        now_ns, time_ns = self._clock.monotonic_ns(), self._clock.now_ns()
        self._answer([OrderFilled(fill, time_ns) for fill in self._of_before])
        self._of_before = []
        self._answer([self._model.report(now_ns, time_ns)])

    def refresh(self, instrument: Instrument) -> None:
        """Answer with the filters the account knows: those the orders came with."""
        self._answer([InstrumentRefreshed(instrument, self._clock.now_ns())])

    def positions(self) -> Sequence[VenuePosition]:
        """The positions that belong to what was told: what is not written yet does not count."""
        return self._positions

    def credit(self, asset: str, amount: Decimal) -> None:
        """Give an asset its opening balance unless it had one; told like any other change."""
        if asset not in self._model.account.openings:
            self._model.account.open(asset, amount)
            self._answer([self._model.all_balances(self._clock.now_ns(), [asset])])

    async def run(self) -> None:
        """Tell balances, then write and tell what happens, until cancelled."""
        self._answer([self._model.all_balances(self._clock.now_ns())])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write(), name=f"paper.{self.venue}.write")
            tasks.create_task(self._advance(), name=f"paper.{self.venue}.advance")

    # Prices

    def on_tick(self, tick: Tick) -> None:
        """Let the venue model see a price, after the guard has."""
        if self._model.observe(tick):
            reports = self._model.on_tick(tick, self._clock.now_ns())
            if reports:
                self._answer(reports)

    async def _advance(self) -> None:
        while True:
            await asyncio.sleep(ADVANCE_PERIOD_S)
            if self._model.has_pending:
                now_ns, time_ns = self._clock.monotonic_ns(), self._clock.now_ns()
                reports = self._model.advance(now_ns, time_ns)
                if reports:
                    self._answer(reports)
            if self._model.unsaved:
                self._wake.set()

    # Answers

    def _answer(self, reports: Sequence[BrokerEvent]) -> None:
        self._answers.extend(reports)
        self._wake.set()

    async def drain(self) -> None:
        """Write and tell what is left, for an orderly stop after ``run`` ended.

        Where the record still refuses, the rest stays unwritten and untold, as if the process had
        been killed: the next start asks what became of it.
        """
        self._stopping = True
        try:
            if self._telling is not None:
                await asyncio.wait({self._telling})
                self._telling.result()
            while self._answers or self._model.unsaved:
                await self._tell()
        except Retryable as error:
            log.error("paper.left_unwritten", venue=self.venue, error=str(error))

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            # A cancellation must not tear a batch: it is written and told whole.
            self._telling = asyncio.create_task(self._tell(), name=f"paper.{self.venue}.tell")
            await asyncio.shield(self._telling)

    async def _tell(self) -> None:
        self._wake.clear()
        count, positions = len(self._answers), self._model.venue_positions()
        await self._keep(take_changes(self._model))
        self._positions = positions
        for _ in range(count):
            self._sink(self._answers.popleft())

    async def _keep(self, changes: Changes) -> None:
        """Write a batch, as often as it takes: nothing is told before it is written.

        Raises:
            Retryable: the record refuses and the account is being stopped.
        """
        refused = False
        while True:
            try:
                await asyncio.to_thread(self._store.write, changes)
            except Retryable as error:
                if self._stopping:
                    raise
                if not refused:
                    log.error("paper.write_failed", venue=self.venue, error=str(error))
                refused = True
                await asyncio.sleep(WRITE_RETRY_S)
            else:
                if refused:
                    log.info("paper.write_resumed", venue=self.venue)
                return
