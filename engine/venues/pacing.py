"""Request budgets of one venue address: kept before the venue complains, closes first.

A budget is a number of requests, or of their weights, in a window of time. Every request is charged
when it is about to leave. Look-ups may use three fifths of a budget, housekeeping and entries four,
closes all of it, so that a close never finds it used up by less urgent requests. There may be
hundreds of look-ups, after a start above all, and they prove nothing before the account was read:
so what is left between them and the rest is the readings'. What the venue
tells of its own count (others may share the address) is believed where it is more than ours.

A ban ends all requests, closes too, until it is over: to ask during one makes it longer.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from msgspec import Struct

from engine.model.ids import Purpose
from engine.model.order import Order
from engine.ports import Clock
from engine.venues.account import Outcome, RequestFailed, Urgency, Verdict
from engine.venues.rest import DEFAULT_PAUSE_SECONDS

NS_PER_SECOND = 1_000_000_000

SHARES: Mapping[Urgency, tuple[int, int]] = {
    Urgency.CLOSE: (1, 1),
    Urgency.ORDER: (4, 5),
    Urgency.LOOK_UP: (3, 5),
    Urgency.HOUSEKEEPING: (4, 5),
}
"""Numerator and denominator of the part of a budget up to which each may go."""

PATIENCE_S: Mapping[Urgency, float] = {
    Urgency.CLOSE: 5.0,
    Urgency.ORDER: 2.0,
    Urgency.LOOK_UP: 2.0,
    Urgency.HOUSEKEEPING: 10.0,
}
"""How long a request waits for its turn before it is refused. Of many orders at once each leaves as
soon as the budget has room, and not after the core's pauses, which grow; entries only for a moment,
since the core knows whether they are still wanted. An order that waits here is not absent: that
takes the core ten seconds to find."""

SHORTEST_WAIT_NS = 1_000_000

log = structlog.get_logger(__name__)


def urgency_of(order: Order) -> Urgency:
    """What ends or guards a position goes first; a backstop is a close that waits."""
    opening = order.purpose in (Purpose.ENTRY, Purpose.ADD)
    return Urgency.ORDER if opening else Urgency.CLOSE


class Budget(Struct, frozen=True):
    """What a venue allows: ``limit`` requests or weights in any ``window_ns``."""

    name: str
    limit: int
    window_ns: int


@dataclass(slots=True)
class _Spent:
    """The charges of one budget that still count, each with the moment it stops counting."""

    budget: Budget
    entries: deque[tuple[int, int]] = field(default_factory=deque)
    total: int = 0
    told: int = 0
    told_until_ns: int = 0

    def forget(self, now_ns: int) -> None:
        while self.entries and self.entries[0][0] <= now_ns:
            self.total -= self.entries.popleft()[1]
        if self.told_until_ns <= now_ns:
            self.told = 0

    def wait_ns(self, cost: int, urgency: Urgency, now_ns: int) -> int:
        """How long until ``cost`` fits; 0 when it does now."""
        part, whole = SHARES[urgency]
        # One request must always fit some day, else a heavy reading would be refused for ever.
        allowed = max(self.budget.limit * part // whole, cost)
        until_ns, own = now_ns, self.total
        told = self.told
        if told + cost > allowed:
            until_ns = self.told_until_ns
        for ends_ns, spent in self.entries:
            if own + cost <= allowed:
                break
            own -= spent
            until_ns = max(until_ns, ends_ns)
        return until_ns - now_ns

    def charge(self, cost: int, now_ns: int) -> None:
        self.entries.append((now_ns + self.budget.window_ns, cost))
        self.total += cost
        if self.told:
            self.told += cost


class Pacer:
    """The budgets and the ban of one address. Not safe from other threads than the loop's.

    Args:
        name: of the address, for messages, as ``bybit``.
        sleep: waits, in seconds.
    """

    def __init__(
        self,
        name: str,
        budgets: Sequence[Budget],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self._clock = clock
        self._sleep = sleep
        self._spent = {budget.name: _Spent(budget) for budget in budgets}
        self._banned_until_ns = 0
        self._ban_message = ""

    def charge(self, urgency: Urgency, costs: Mapping[str, int]) -> None:
        """Count a request that is about to leave; ``costs`` by the names of budgets.

        Raises:
            RequestFailed: it must not leave before ``verdict.wait_ns``, and during a ban (``wait``)
                nothing else may either; nothing was counted.
        """
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._banned_until_ns:
            verdict = Verdict(Outcome.WAIT, wait_ns=self._banned_until_ns - now_ns)
            raise RequestFailed(verdict, self._ban_message)
        wait_ns, scarce = 0, ""
        for name, cost in costs.items():
            spent = self._spent[name]
            spent.forget(now_ns)
            needed_ns = spent.wait_ns(cost, urgency, now_ns)
            if needed_ns > wait_ns:
                wait_ns, scarce = needed_ns, name
        if wait_ns > 0:
            # Not ``wait``: that holds for everything there, and a close may still go.
            verdict = Verdict(Outcome.RETRY, wait_ns=wait_ns)
            raise RequestFailed(verdict, f"{self.name}: the budget of {scarce} is used up")
        for name, cost in costs.items():
            self._spent[name].charge(cost, now_ns)

    async def take(self, urgency: Urgency, costs: Mapping[str, int]) -> None:
        """Charge a request, after waiting for its turn as long as ``PATIENCE_S`` allows.

        Raises:
            RequestFailed: its turn does not come in that time; nothing was counted.
        """
        give_up_ns = self._clock.monotonic_ns() + int(PATIENCE_S[urgency] * NS_PER_SECOND)
        while True:
            try:
                return self.charge(urgency, costs)
            except RequestFailed as error:
                wait_ns = max(error.verdict.wait_ns, SHORTEST_WAIT_NS)
                is_order = urgency in (Urgency.CLOSE, Urgency.ORDER)
                if is_order and error.verdict.outcome is Outcome.WAIT:
                    raise  # a ban: the core holds back everything there, and tells the owner
                if self._clock.monotonic_ns() + wait_ns > give_up_ns:
                    raise
            await self._sleep(wait_ns / NS_PER_SECOND)

    def note_used(self, name: str, used: int, resets_in_ns: int | None = None) -> None:
        """Believe the venue that ``used`` of a budget is gone, by others too.

        ``resets_in_ns``: when the venue begins to count anew; without it, after a whole window.
        """
        now_ns = self._clock.monotonic_ns()
        spent = self._spent[name]
        spent.forget(now_ns)
        window_ns = spent.budget.window_ns
        left_ns = window_ns if resets_in_ns is None else min(max(resets_in_ns, 0), window_ns)
        # The last word counts, lower or not: what we sent ourselves is counted beside it.
        spent.told, spent.told_until_ns = max(used, 0), now_ns + left_ns

    def note_left(self, name: str, left: int, resets_in_ns: int | None = None) -> None:
        """The same, of a venue that tells what is left."""
        self.note_used(name, self._spent[name].budget.limit - left, resets_in_ns)

    def ban(self, wait_ns: int, message: str) -> None:
        """Send nothing for ``wait_ns``; a longer ban that is known already stays."""
        until_ns = self._clock.monotonic_ns() + wait_ns
        if until_ns > self._banned_until_ns:
            self._banned_until_ns, self._ban_message = until_ns, message
            log.warning("venue.banned", address=self.name, seconds=wait_ns / 1e9, reason=message)

    def note_status(self, status: int, retry_after: str | None) -> int:
        """Obey an answer's HTTP status; returns how long it bans us, in ns, 0 when it does not.

        403, 418 and 429 ban, for ``Retry-After`` seconds if the answer names them.
        """
        usual_s = DEFAULT_PAUSE_SECONDS.get(status)
        if usual_s is None:
            return 0
        text = (retry_after or "").strip()
        seconds = float(text) if text.isdecimal() else usual_s
        wait_ns = int(seconds * NS_PER_SECOND)
        self.ban(wait_ns, f"{self.name} answered HTTP {status}: no requests for {seconds:.0f} s")
        return wait_ns
