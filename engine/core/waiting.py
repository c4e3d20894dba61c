"""Entries that wait for the first price of their instrument."""

from engine.core.outcomes import settle
from engine.core.state import State, Waiting
from engine.model.instrument import InstrumentId
from engine.model.signal import Outcome


def waiting_on(state: State, instrument: InstrumentId) -> list[Waiting]:
    """Entries that wait for a price of an instrument, oldest first."""
    return [w for w in state.waiting.values() if w.signal.instrument.id == instrument]


def wait_for_price(state: State, entry: Waiting) -> None:
    """Let an entry wait for the first price of its (watched) instrument."""
    state.waiting[entry.signal.id] = entry
    state.markets[entry.signal.instrument.id].waiting += 1


def leave_waiting(state: State, entry: Waiting) -> None:
    """Take an entry out of the waiting ones."""
    del state.waiting[entry.signal.id]
    state.markets[entry.signal.instrument.id].waiting -= 1


def drop_waiting(state: State, entry: Waiting, reason: str) -> None:
    """Give up an entry that was still waiting for a price."""
    leave_waiting(state, entry)
    settle(state, entry.signal, Outcome.REJECTED, reason)
    state.unwatch_unused(entry.signal.instrument.id)


def expire_waiting(state: State) -> None:
    """Give up entries for which no price came in time."""
    for entry in list(state.waiting.values()):
        if state.elapsed_ns >= entry.deadline_ns:
            seconds = state.config.price_wait_ns // 10**9
            instrument = entry.signal.instrument.id
            drop_waiting(state, entry, f"no_price: no price of {instrument} within {seconds} s")
