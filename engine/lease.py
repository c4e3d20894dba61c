"""What a process knows of its own lease, and what it sends by that (DESIGN.md 2.14).

A holder judges by its monotonic clock alone, from the moment its last renewal was begun: a renewal
that comes back late and a process that stood still make it doubt itself early, never late, and a
UTC that jumps does nothing. The row's UTC serves other takers only.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog

from engine.model.effects import Command, LookUpOrder, SubmitOrder
from engine.model.errors import Fenced, Retryable
from engine.model.events import LeaseChanged
from engine.ports import Clock, Grant, Lease

LEASE_NS = 15_000_000_000
SETTLE_NS = 5_000_000_000
"""What a taker waits beyond the lease and the venue's window for requests: time on the way."""

RENEWALS = 3
"""How often a lease is renewed before it would end."""

RETRIES = 15
"""How often a renewal that storage refuses is tried again within a lease."""


log = structlog.get_logger(__name__)


class HeldLease:
    """A lease from its acquisition on. ``renew`` and ``release`` block; all else is quick.

    Args:
        begun_ns: monotonic time at which the acquisition was begun.
        expires: False where the operating system keeps every other writer out while this process
            lives (a locked SQLite file): it is the one writer then even while storage refuses.
    """

    def __init__(
        self,
        lease: Lease,
        grant: Grant,
        clock: Clock,
        begun_ns: int,
        lease_ns: int = LEASE_NS,
        *,
        expires: bool = True,
    ) -> None:
        self.epoch = grant.epoch
        self.lease_ns = lease_ns
        self._lease = lease
        self._clock = clock
        self._renewed_ns = begun_ns
        self._tried_ns = begun_ns
        self._expires = expires
        self._sends_from_ns = clock.monotonic_ns() + grant.wait_ns
        self._is_lost = False

    # Views

    def is_waiting(self) -> bool:
        """Tell whether what the former holder sent may still arrive: nothing is sent before."""
        return self._clock.monotonic_ns() < self._sends_from_ns

    def is_held(self) -> bool:
        """Tell whether we are the one writer and may send."""
        now_ns = self._clock.monotonic_ns()
        over = self._expires and now_ns - self._renewed_ns >= self.lease_ns
        return not (over or self._is_lost or now_ns < self._sends_from_ns)

    def is_lost(self) -> bool:
        """Tell whether another writer has taken over, for good."""
        return self._is_lost

    def is_due(self) -> bool:
        """Tell whether it is time to renew, or to try that again."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._renewed_ns < self.lease_ns // RENEWALS:
            return False
        return now_ns - self._tried_ns >= self.lease_ns // RETRIES

    # Changes

    def note_renewed(self, begun_ns: int) -> None:
        """Note a renewal, or a commit under our epoch, that was begun at a monotonic time."""
        self._renewed_ns = max(self._renewed_ns, begun_ns)

    def note_lost(self) -> None:
        """Note that another writer has taken over."""
        self._is_lost = True

    def note_tried(self, begun_ns: int) -> None:
        """Note that a renewal is begun."""
        self._tried_ns = begun_ns

    def renew(self) -> None:
        """Renew. Raises Fenced, Retryable."""
        self._lease.renew(self.epoch, self._clock.now_ns())

    def release(self) -> None:
        """Give the lease back: nothing is sent or written after. Raises Retryable."""
        self._lease.release(self.epoch)


class Gate:
    """Lets a flow's orders out while its lease is held, and tells the guardian when it is not.

    Whoever stood still past its lease wakes with whatever comes first, a price as well as the
    clock, so the lease is looked at right before orders leave: closes that were decided too late
    are withheld and the guardian is told, which looks them up and sends them when they are absent.
    Nothing leaves while a taker waits. Its look-ups wait too, since an order still on its way may
    overtake an answer.

    Args:
        hand_in: takes an event for the guardian and carries out what follows.
        act: carries out one command.
    """

    def __init__(
        self,
        lease: HeldLease,
        clock: Clock,
        hand_in: Callable[[LeaseChanged], None],
        act: Callable[[Command], None],
    ) -> None:
        self._lease = lease
        self._clock = clock
        self._hand_in = hand_in
        self._act = act
        self._told_held = True
        self._waiting: dict[str, LookUpOrder] = {}

    def permitted(self, commands: list[Command]) -> list[Command]:
        """Return the commands of one step that may go now."""
        if self._lease.is_waiting():
            commands = [command for command in commands if not self._is_kept(command)]
        closes = [c.order.client_order_id for c in commands if isinstance(c, SubmitOrder)]
        if not closes or self._lease.is_held() or self._is_looked_up():
            return commands
        log.warning("lease.closes_withheld", client_order_ids=closes)
        if not self._lease.is_lost():
            self._tell(tuple(closes))
        return [command for command in commands if not isinstance(command, SubmitOrder)]

    def _is_kept(self, command: Command) -> bool:
        if isinstance(command, LookUpOrder):
            self._waiting[command.order.client_order_id] = command
            return True
        return False

    def _is_looked_up(self) -> bool:
        """Tell whether the guardian knew that the lease is over, and so looked up what it sends."""
        return not (self._told_held or self._lease.is_waiting() or self._lease.is_lost())

    def problems(self) -> list[str]:
        """Return why no entry may be sent now; empty when it may."""
        if self._lease.is_held():
            return []
        if self._lease.is_waiting():
            return ["lease: taken over from another process, whose last orders may still arrive"]
        return ["lease: not renewed in time, so another process may have taken over"]

    def entry_refusal(self) -> str | None:
        """Why no entry may be sent now; None when it may."""
        self.mind()
        return next((f"fenced: {problem}" for problem in self.problems()), None)

    def mind(self) -> None:
        """Tell the guardian when the lease ended or is held again, and ask what had to wait."""
        if self._lease.is_lost():
            return
        if self._lease.is_held() is not self._told_held:
            self._tell()
        if self._waiting and not self._lease.is_waiting():
            asked, self._waiting = self._waiting, {}
            for command in asked.values():
                self._act(command)

    def _tell(self, withheld: tuple[str, ...] = ()) -> None:
        self._told_held = self._lease.is_held()
        log.warning("lease.changed", held=self._told_held, epoch=self._lease.epoch)
        self._hand_in(LeaseChanged(self._told_held, self._clock.now_ns(), withheld))

    async def keep(self, period_s: float, offload: Callable[..., Awaitable[Any]]) -> None:
        """Renew the lease in time until cancelled; looks every ``period_s`` whether it is due.

        Raises:
            Fenced: another writer has taken over.
        """
        while True:
            await asyncio.sleep(period_s)
            if not self._lease.is_due():
                continue
            self._lease.note_tried(self._clock.monotonic_ns())
            try:
                await self.writing(partial(offload, self._lease.renew))
            except Retryable as error:
                log.error("lease.renewal_failed", error=str(error))
            else:
                self.mind()

    async def writing(self, write: Callable[[], Awaitable[None]]) -> None:
        """Do a renewal, or a commit, which is one too.

        Raises:
            Retryable: nothing was written.
            Fenced: another writer has taken over; nothing is sent any more.
        """
        begun_ns = self._clock.monotonic_ns()
        try:
            await write()
        except Fenced:
            self._lease.note_lost()
            raise
        self._lease.note_renewed(begun_ns)


def take(
    lease: Lease, holder: str, clock: Clock, lease_ns: int = LEASE_NS, *, expires: bool = True
) -> HeldLease:
    """Take the lease. Blocks.

    Raises:
        Held: another holder's lease is not over.
        Retryable: it could not be asked now.
    """
    begun_ns = clock.monotonic_ns()
    grant = lease.acquire(holder, clock.now_ns(), lease_ns)
    return HeldLease(lease, grant, clock, begun_ns, lease_ns, expires=expires)


def fenced_in(group: BaseExceptionGroup[BaseException]) -> Fenced | None:
    """Return the first ``Fenced`` in a group of errors, None when there is none."""
    for error in group.exceptions:
        found = fenced_in(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, Fenced):
            return found
    return None
