"""The way to a venue and back, with everything that happens to requests and answers on it.

It does what an adapter of a real venue does: one request an order, outcomes told by their class, an
account stream beside the answers. A request that has left goes on when its process has died.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.clock import NS_PER_MS, NS_PER_SECOND
from engine.model.events import (
    InstrumentRefreshed,
    OrderDeferred,
    OrderFilled,
    OrderLookedUp,
    OrderSent,
    OrderUpdated,
    VenuePosition,
)
from engine.model.instrument import Instrument
from engine.model.order import Fill, Order, OrderStatus, Refusal
from engine.ports import BrokerEvent
from engine.simulation.exchange import Exchange, Execution
from engine.simulation.history import Arrival, Request
from engine.simulator.matching import Report

if TYPE_CHECKING:
    from engine.simulation.process import Process

TIMEOUT_NS = 2 * NS_PER_SECOND
"""An answer that does not come by then is given up: the outcome is unknown."""

DEFERRALS = {"limit": "rate limit", "overload": "busy", "skew": "timestamp outside recvWindow"}
REFUSALS = {
    "rej_filters": Refusal.FILTERS,
    "rej_band": Refusal.FILTERS,
    "rej_balance": Refusal.BALANCE,
    "rej_other": Refusal.OTHER,
}


class SimulatedBroker:
    """``engine.ports.Broker`` of one process on one exchange."""

    def __init__(self, process: "Process", exchange: Exchange) -> None:
        self.venue = exchange.name
        self._process = process
        self._world = process.world
        self._exchange = exchange
        self._random = process.world.plan.generator(f"network/{process.number}/{self.venue}")
        self._stream_ns = 0
        self._read = 0
        exchange.listeners.append(self._hear)

    def begin(self) -> None:
        """Tell the balances, as an adapter does that comes up."""
        self._come_back(self._exchange.model.all_balances(self._exchange.time_ns()))

    def end(self) -> None:
        """Nobody listens any more."""
        self._exchange.listeners.remove(self._hear)

    async def run(self) -> None:
        """There is nothing to run: the world's clock does it all."""

    def positions(self) -> Sequence[VenuePosition]:
        """The venue's own positions."""
        return self._exchange.model.venue_positions()

    # Orders

    def submit(self, order: Order) -> None:
        """Hand over an order."""
        self._process.effect("submit")
        world = self._world
        world.history.requests.append(Request(world.now_ns, self._process.number, order))
        world.history.calls[f"{self._process.number}.submit"] += 1
        sent = OrderSent(order.client_order_id, self._process.clock.now_ns(), self._now_mono())
        self._process.soon(sent)
        self._send(order)
        self._process.effected("submit")

    def _send(self, order: Order) -> None:
        key = order.client_order_id
        deferred = self._deferral(order)
        if deferred is not None:
            self._come_back(deferred)
        elif self._strikes("outage") or self._strikes("drop_req"):
            self._time_out(key)
        else:
            late = self._world.faults.strike("late_req", self.venue)
            delay_ns = self._delay_ns() + (round(late.amount * NS_PER_MS) if late else 0)
            if late:
                self._time_out(key)
            self._world.after(delay_ns, self._arrive, order, late is None)

    def _deferral(self, order: Order) -> OrderDeferred | None:
        faults, at_ns = self._world.faults, self._exchange.time_ns()
        ban = faults.strike("ban", self.venue)
        if ban is not None:
            left_ns = (ban.at_ms + ban.for_ms) * NS_PER_MS - self._world.now_ns
            return OrderDeferred(order.client_order_id, at_ns, left_ns, "banned")
        for kind, message in DEFERRALS.items():
            fault = faults.strike(kind, self.venue)
            if fault is not None:
                wait_ns = round(fault.amount * NS_PER_MS)
                return OrderDeferred(order.client_order_id, at_ns, wait_ns, message)
        return None

    def _arrive(self, order: Order, answers: bool) -> None:
        """A request reaches the venue."""
        world, key = self._world, order.client_order_id
        refusal = self._refusal(order)
        reports = [refusal] if refusal is not None else self._exchange.take(order)
        taken = refusal is None and self._exchange.taken_ns.get(key) == world.now_ns
        world.history.arrivals.append(
            Arrival(world.now_ns, self._process.number, self.venue, order, taken)
        )
        if not answers:
            return
        if taken and self._strikes("drop_rsp"):
            self._time_out(key)
        elif taken and self._strikes("5xx_after"):
            unknown = OrderStatus.UNKNOWN
            at_ns = self._exchange.time_ns()
            self._come_back(OrderUpdated(key, unknown, at_ns, message="503 after it was taken"))
        else:
            for report in reports:
                self._come_back(report)

    def _refusal(self, order: Order) -> OrderUpdated | None:
        for kind, refusal in REFUSALS.items():
            if self._strikes(kind):
                rejected, at_ns = OrderStatus.REJECTED, self._exchange.time_ns()
                key = order.client_order_id
                return OrderUpdated(key, rejected, at_ns, message=kind, refusal=refusal)
        return None

    def _time_out(self, key: str) -> None:
        at_ns = self._exchange.time_ns() + TIMEOUT_NS
        event = OrderUpdated(key, OrderStatus.UNKNOWN, at_ns, message="no answer in time")
        self._world.after(TIMEOUT_NS, self._process.enter, event)

    def cancel(self, order: Order) -> None:
        """Have a resting order cancelled."""
        self._process.effect("cancel")
        history, number = self._world.history, self._process.number
        history.calls[f"{number}.cancel"] += 1
        history.cancels.append((self._world.now_ns, number, order.client_order_id))
        if not any(self._strikes(kind) for kind in ("outage", "ban", "drop_req")):
            late = self._world.faults.strike("late_req", self.venue)
            delay_ns = self._delay_ns() + (round(late.amount * NS_PER_MS) if late else 0)
            self._world.after(delay_ns, self._cancel, order.client_order_id)
        self._process.effected("cancel")

    def _cancel(self, key: str) -> None:
        """A cancellation reaches the venue; what it triggered just now it does not cancel."""
        reports = self._exchange.cancel(key)
        if reports and not self._strikes("drop_rsp"):
            for report in reports:
                self._come_back(report)

    def look_up(self, order: Order) -> None:
        """Ask what became of an order."""
        self._process.effect("look_up")
        self._world.history.calls[f"{self._process.number}.look_up"] += 1
        self._world.history.look_ups.append((self._world.now_ns, self._process.number))
        if not self._is_cut_off("err_look"):
            self._world.after(self._delay_ns(), self._answer_look_up, order.client_order_id)
        self._process.effected("look_up")

    def _answer_look_up(self, key: str) -> None:
        answer = self._exchange.look_up(key)
        if answer.found:
            late = self._world.faults.active("late_vis", self.venue)
            age_ns = self._world.now_ns - self._exchange.taken_ns[key]
            if late is not None and age_ns < late.amount * NS_PER_MS:
                self._world.faults.strike("late_vis", self.venue)
                answer = OrderLookedUp(key, answer.at_ns, found=False)
        elif answer.certain:
            answer = OrderLookedUp(key, answer.at_ns, found=False)
        self._come_back(answer)

    # Account

    def read_account(self, instruments: Sequence[Instrument]) -> None:
        """Read executions, positions and balances."""
        self._process.effect("read_account")
        self._world.history.calls[f"{self._process.number}.read_account"] += 1
        if not self._is_cut_off("err_pos"):
            self._world.after(self._delay_ns(), self._answer_account, self._now_mono())
        self._process.effected("read_account")

    def _answer_account(self, as_of_ns: int) -> None:
        """Tell what was executed since the last reading, then what is held."""
        new: Sequence[Execution] = self._exchange.executions[self._read :]
        self._read = len(self._exchange.executions)
        at_ns = self._exchange.time_ns()
        events: list[BrokerEvent] = [
            OrderFilled(each, at_ns) if isinstance(each, Fill) else each for each in new
        ]
        events.append(self._exchange.account(as_of_ns))
        self._world.after(self._delay_ns(), self._tell_all, events)

    def _tell_all(self, events: Sequence[BrokerEvent]) -> None:
        for event in events:
            self._process.enter(event)

    def refresh(self, instrument: Instrument) -> None:
        """Read filters again."""
        self._process.effect("refresh")
        self._world.history.calls[f"{self._process.number}.refresh"] += 1
        if not self._is_cut_off("outage"):
            trading = self._world.is_trading(instrument)
            self._come_back(InstrumentRefreshed(trading, self._exchange.time_ns()))
        self._process.effected("refresh")

    def _is_cut_off(self, kind: str) -> bool:
        """Tell whether a reading fails: an error is no answer."""
        return any(self._strikes(each) for each in (kind, "outage", "ban"))

    # The account stream

    def _hear(self, report: Report) -> None:
        """The venue tells something of the account, in its order."""
        self._stream_ns = max(self._world.now_ns + self._delay_ns(), self._stream_ns + 1000)
        if self._strikes("drop_evt"):
            return
        delay_ns = self._stream_ns - self._world.now_ns
        late = self._world.faults.strike("late_evt", self.venue)
        if late is not None:
            delay_ns += round(late.amount * NS_PER_MS)
        self._world.after(delay_ns, self._process.enter, report)
        if self._strikes("dup_evt"):
            self._world.after(delay_ns + 700 * NS_PER_MS, self._process.enter, report)

    # Ways

    def _strikes(self, kind: str) -> bool:
        return self._world.faults.strike(kind, self.venue) is not None

    def _come_back(self, event: BrokerEvent) -> None:
        self._world.after(self._delay_ns(), self._process.enter, event)

    def _delay_ns(self) -> int:
        return self._random.randint(5, 60) * NS_PER_MS

    def _now_mono(self) -> int:
        return self._process.clock.monotonic_ns()
