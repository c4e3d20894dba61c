"""The signal inbox: N deliveries of one signal come to one ``SignalReceived`` and one answer.

Deliveries take turns for the short time in which it is decided whether a signal is new; the commit
is awaited outside of the turn, so many signals share one. What is decided but not committed yet is
known in memory, everything else is asked of the ledger.
"""

import asyncio
from collections.abc import Callable

import structlog
from msgspec import Struct
from msgspec.structs import replace

from api.problems import FieldError, Problem, unavailable
from api.routes.reader import Reader
from api.webhook.secret import SIGNED_ID, SignatureMemory, Signed, wrong_secret
from engine.clock import NS_PER_SECOND
from engine.flow import Flow
from engine.model.effects import AppendEvent
from engine.model.events import SignalReceived
from engine.model.signal import Outcome, Signal, SignalRecord
from storage.queries import Queries
from storage.rows import body_digest

ANSWER_WITHIN_S = 0.9
"""Senders are answered within a second; a slower disk makes a 503, and the signal a duplicate."""

SAME_BODY_NS = 60 * NS_PER_SECOND

log = structlog.get_logger(__name__)


class Receipt(Struct, frozen=True):
    """The id a signal is known by, and whether it was known before."""

    signal_id: str
    is_duplicate: bool


class _Pending(Struct, frozen=True):
    """A signal that was taken, until its commit."""

    signal: Signal
    commit: asyncio.Task[None]


class Inbox:
    """Takes signals that were authenticated and read, each once."""

    def __init__(
        self, flow: Flow, queries: Queries, reader: Reader, random_id: Callable[[], str]
    ) -> None:
        self._flow = flow
        self._queries = queries
        self._reader = reader
        self._random_id = random_id
        self._turn = asyncio.Lock()
        self._pending: dict[str, _Pending] = {}
        self._signatures = SignatureMemory()
        self._last_received_ns = 0

    async def deliver(
        self, signal: Signal, *, signed: Signed | None = None, rejection: str | None = None
    ) -> Receipt:
        """Take a signal, or recognise it; returns after the commit.

        Args:
            signal: with a fresh id.
            rejection: the recorded outcome of a signal that the guardian cannot be given.

        Raises:
            Problem: 409 for a known id with another body, 401 for a signature used before, 503
                when the commit takes longer than ``ANSWER_WITHIN_S``.
            Retryable: storage refuses; nothing was done.
        """
        if signed is not None and signal.external_id is None:
            signal = replace(signal, external_id=signed.external_id)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._deliver(signal, signed, rejection)
        except TimeoutError:
            log.warning("signal.answered_late", signal_id=signal.id)
            raise unavailable(
                "Storage is slow. Send the request again: a signal that was taken is recognised."
            ) from None

    async def _deliver(
        self, signal: Signal, signed: Signed | None, rejection: str | None
    ) -> Receipt:
        async with self._turn:
            pending = self._pending_first(signal)
            known = None if pending is not None else await self._stored_first(signal)
            if known is not None:
                return Receipt(known, is_duplicate=True)
            if pending is None:
                pending = self._take(signal, signed, rejection)
        # The commit goes on though this delivery may be gone, so nobody's timeout tears it.
        await asyncio.shield(pending.commit)
        return Receipt(pending.signal.id, is_duplicate=pending.signal.id != signal.id)

    # Is it new?

    def _pending_first(self, signal: Signal) -> _Pending | None:
        """Return the uncommitted signal that this one repeats."""
        if signal.external_id is not None:
            for pending in self._pending.values():
                if _key(pending.signal) == _key(signal):
                    _check_same(pending.signal, signal)
                    return pending
        if _has_own_id(signal):
            return None
        last = self._last_pending_on(signal)
        return last if last is not None and _is_repeat(last.signal, signal) else None

    def _last_pending_on(self, signal: Signal) -> _Pending | None:
        instrument = signal.instrument.id
        on = [each for each in self._pending.values() if each.signal.instrument.id == instrument]
        return on[-1] if on else None

    async def _stored_first(self, signal: Signal) -> str | None:
        """Return the id of the committed signal that this one repeats."""
        if signal.external_id is not None:
            found = await self._reader(self._queries.find_signal, signal.source, signal.external_id)
            if found is not None:
                _check_same(found.signal, signal)
                return found.signal.id
        if _has_own_id(signal):
            return None
        if self._last_pending_on(signal) is not None:
            return None  # another signal was accepted in between
        return await self._reader(self._stored_repeat, signal)

    def _stored_repeat(self, signal: Signal) -> str | None:
        since_ns = signal.received_at_ns - SAME_BODY_NS
        digest = body_digest(signal.raw)
        first = self._queries.find_recent_body(signal.source, digest, since_ns)
        if first is None:
            return None
        last = self._queries.last_accepted_on(signal.instrument.id)
        is_last = last is not None and last.signal.id == first.signal.id
        return first.signal.id if is_last else None

    # Taking it

    def _take(self, signal: Signal, signed: Signed | None, rejection: str | None) -> _Pending:
        """Begin the commit. No await stands between this and the decision that it is new."""
        now_ns = signal.received_at_ns
        if signed is not None and self._signatures.has(signed, now_ns):
            raise wrong_secret()
        self._last_received_ns = max(now_ns, self._last_received_ns + 1)
        taken = replace(signal, received_at_ns=self._last_received_ns)
        if signed is not None:
            self._signatures.keep(signed, now_ns)
        commit = asyncio.create_task(self._commit(taken, rejection), name="signal")
        self._pending[taken.id] = pending = _Pending(taken, commit)
        commit.add_done_callback(lambda task: self._settle(taken, signed, task))
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

    def _settle(self, signal: Signal, signed: Signed | None, task: asyncio.Task[None]) -> None:
        """Leave it to the ledger; one that was not taken may come again, signature and all."""
        del self._pending[signal.id]
        error = "cancelled" if task.cancelled() else task.exception()
        if error is None:
            return
        log.error("signal.not_taken", signal_id=signal.id, error=str(error))
        if signed is not None:
            self._signatures.drop(signed)


def _key(signal: Signal) -> tuple[str, str | None]:
    return signal.source, signal.external_id


def _has_own_id(signal: Signal) -> bool:
    """Tell whether the sender gave an id, so that equal bodies need not be looked for."""
    return signal.external_id is not None and not signal.external_id.startswith(SIGNED_ID)


def _is_repeat(first: Signal, signal: Signal) -> bool:
    return (first.source, first.raw) == (signal.source, signal.raw)


def _check_same(first: Signal, signal: Signal) -> None:
    if first.raw != signal.raw:
        error = FieldError("id", "this id was used with another body; give each signal its own")
        raise Problem(409, "The id is known, and its body was another.", [error])
