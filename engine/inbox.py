"""The signal inbox: N deliveries of one signal come to one ``SignalReceived`` and one answer.

Deliveries take turns for the short time in which it is decided whether a signal is new; the commit
is awaited outside of the turn, so many signals share one. What is decided but not committed yet is
known in memory, everything else is asked of the ledger.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from engine.clock import NS_PER_SECOND
from engine.flow import Flow, Offload
from engine.model.effects import AppendEvent
from engine.model.errors import Rejected, UnknownOutcome
from engine.model.events import SignalReceived
from engine.model.signal import Outcome, Signal, SignalRecord, body_digest
from engine.ports import SignalStore

ANSWER_WITHIN_S = 0.9
"""Senders are answered within a second; on a slower disk they are told to send the signal again."""

SAME_BODY_NS = 60 * NS_PER_SECOND

log = structlog.get_logger(__name__)


class IdReused(Rejected):
    """The sender's id is known, and its body was another."""


class AnsweredLate(UnknownOutcome):
    """Storage was slow; sent again, the signal is taken, or recognised if it was taken."""


class Claim(Protocol):
    """What one signal uses up, as a signature that opens one signal and no second one."""

    def take(self) -> None:
        """Use it, at the moment at which the signal is found new.

        Raises:
            TickguardError: it was used before; the delivery ends with this error.
        """

    def release(self) -> None:
        """Give it back: the signal was not taken after all."""


class Receipt(Struct, frozen=True):
    """The id a signal is known by, and whether it was known before."""

    signal_id: str
    is_duplicate: bool


class _Delivery(Struct, frozen=True):
    """One arrival of a signal; ``has_own_id`` where the sender named it."""

    signal: Signal
    has_own_id: bool
    rejection: str | None
    claim: Claim | None


class _Pending(Struct, frozen=True):
    """A signal that was taken, until its commit."""

    signal: Signal
    commit: asyncio.Task[None]


class Inbox:
    """Takes signals that were authenticated and read, each once.

    Args:
        store: what the ledger knows of signals; blocking, so it is called by ``offload``.
        random_id: gives the id of a position that a signal may open.
    """

    def __init__(
        self,
        flow: Flow,
        store: SignalStore,
        random_id: Callable[[], str],
        offload: Offload = asyncio.to_thread,
    ) -> None:
        self._flow = flow
        self._store = store
        self._random_id = random_id
        self._offload = offload
        self._turn = asyncio.Lock()
        self._pending: dict[str, _Pending] = {}
        self._last_received_ns = 0

    async def deliver(
        self,
        signal: Signal,
        *,
        rejection: str | None = None,
        claim: Claim | None = None,
        id_is_derived: bool = False,
    ) -> Receipt:
        """Take a signal, or recognise it; returns after the commit.

        Args:
            signal: with a fresh id.
            rejection: the recorded outcome of a signal that the guardian cannot be given.
            claim: what a new signal uses up.
            id_is_derived: the external id was made of the delivery and not given by the sender, so
                equal bodies are looked for all the same.

        Raises:
            IdReused: the id is known with another body.
            AnsweredLate: the commit takes longer than ``ANSWER_WITHIN_S``.
            Retryable: storage refuses; nothing was done.
            TickguardError: the claim's own refusal.
        """
        has_own_id = signal.external_id is not None and not id_is_derived
        delivery = _Delivery(signal, has_own_id, rejection, claim)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._deliver(delivery)
        except TimeoutError:
            log.warning("signal.answered_late", signal_id=signal.id)
            raise AnsweredLate("storage is slow; send the signal again") from None

    async def _deliver(self, delivery: _Delivery) -> Receipt:
        async with self._turn:
            pending = self._pending_first(delivery)
            known = None if pending is not None else await self._stored_first(delivery)
            if known is not None:
                return Receipt(known, is_duplicate=True)
            if pending is None:
                pending = self._take(delivery)
        # The commit goes on though this delivery may be gone, so nobody's timeout tears it.
        await asyncio.shield(pending.commit)
        first_id = pending.signal.id
        return Receipt(first_id, is_duplicate=first_id != delivery.signal.id)

    # Is it new?

    def _pending_first(self, delivery: _Delivery) -> _Pending | None:
        """Return the uncommitted signal that this one repeats."""
        signal = delivery.signal
        if signal.external_id is not None:
            for pending in self._pending.values():
                if _key(pending.signal) == _key(signal):
                    _check_same(pending.signal, signal)
                    return pending
        if delivery.has_own_id:
            return None
        last = self._last_pending_on(signal)
        return last if last is not None and _is_repeat(last.signal, signal) else None

    def _last_pending_on(self, signal: Signal) -> _Pending | None:
        instrument = signal.instrument.id
        on = [each for each in self._pending.values() if each.signal.instrument.id == instrument]
        return on[-1] if on else None

    async def _stored_first(self, delivery: _Delivery) -> str | None:
        """Return the id of the committed signal that this one repeats."""
        signal = delivery.signal
        if signal.external_id is not None:
            found = await self._find(signal.source, signal.external_id)
            if found is not None:
                _check_same(found.signal, signal)
                return found.signal.id
        if delivery.has_own_id:
            return None
        if self._last_pending_on(signal) is not None:
            return None  # another signal was accepted in between
        repeated: str | None = await self._offload(self._stored_repeat, signal)
        return repeated

    async def _find(self, source: str, external_id: str) -> SignalRecord | None:
        found: SignalRecord | None = await self._offload(
            self._store.find_signal, source, external_id
        )
        return found

    def _stored_repeat(self, signal: Signal) -> str | None:
        since_ns = signal.received_at_ns - SAME_BODY_NS
        digest = body_digest(signal.raw)
        first = self._store.find_recent_body(signal.source, digest, since_ns)
        if first is None:
            return None
        last = self._store.last_accepted_on(signal.instrument.id)
        is_last = last is not None and last.signal.id == first.signal.id
        return first.signal.id if is_last else None

    # Taking it

    def _take(self, delivery: _Delivery) -> _Pending:
        """Begin the commit. No await stands between this and the decision that it is new."""
        signal, claim = delivery.signal, delivery.claim
        if claim is not None:
            claim.take()
        self._last_received_ns = max(signal.received_at_ns, self._last_received_ns + 1)
        taken = replace(signal, received_at_ns=self._last_received_ns)
        commit = asyncio.create_task(self._commit(taken, delivery.rejection), name="signal")
        self._pending[taken.id] = pending = _Pending(taken, commit)
        commit.add_done_callback(lambda task: self._settle(taken, claim, task))
        return pending

    async def _commit(self, signal: Signal, rejection: str | None) -> None:
        at_ns = signal.received_at_ns
        if rejection is None:
            event = SignalReceived(signal, self._random_id(), at_ns)
            await self._flow.handle_durably(event)
            return
        record = SignalRecord(signal, Outcome.REJECTED, rejection)
        data = {
            "signal_id": signal.id,
            "instrument": str(signal.instrument.id),
            "reason": rejection,
            "position_id": None,
        }
        line = AppendEvent("signal.rejected", signal.source, at_ns, data)
        await self._flow.record_signal(record, line)

    def _settle(self, signal: Signal, claim: Claim | None, task: asyncio.Task[None]) -> None:
        """Leave it to the ledger; one that was not taken may come again, with its claim."""
        del self._pending[signal.id]
        error = "cancelled" if task.cancelled() else task.exception()
        if error is None:
            return
        log.error("signal.not_taken", signal_id=signal.id, error=str(error))
        if claim is not None:
            claim.release()


def _key(signal: Signal) -> tuple[str, str | None]:
    return signal.source, signal.external_id


def _is_repeat(first: Signal, signal: Signal) -> bool:
    return (first.source, first.raw) == (signal.source, signal.raw)


def _check_same(first: Signal, signal: Signal) -> None:
    if first.raw != signal.raw:
        raise IdReused(f"id {signal.external_id} was used with another body")
