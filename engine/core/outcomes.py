"""What became of a signal: recorded once, told to the owner when it was rejected."""

from engine.core.state import State
from engine.model.signal import Outcome, Signal, SignalRecord


def settle(
    state: State,
    signal: Signal,
    outcome: Outcome,
    reason: str | None,
    position_id: str | None = None,
) -> None:
    """Record what became of a signal."""
    state.put_signal(SignalRecord(signal, outcome, reason, position_id))
    state.log(
        f"signal.{outcome}",
        signal_id=signal.id,
        instrument=str(signal.instrument.id),
        reason=reason,
        position_id=position_id,
    )
    if outcome is Outcome.REJECTED:
        state.notify("signal.rejected", signal_id=signal.id, reason=reason)


def pending(state: State, signal_id: str | None) -> SignalRecord | None:
    """Return a signal's record while its outcome is open, else None."""
    record = state.signals.get(signal_id or "")
    return record if record is not None and record.outcome is Outcome.PENDING else None


def settle_close_signal(state: State, signal_id: str | None) -> None:
    """Give a closing signal its outcome once nothing that it asked for is under way."""
    record = pending(state, signal_id)
    if record is not None and not _under_way(state, record.signal.id):
        settle(state, record.signal, Outcome.CLOSED, None, record.position_id)


def reject_close_signal(state: State, signal_id: str | None, message: str | None) -> None:
    """A part-close that a signal asked for was refused by the venue."""
    record = pending(state, signal_id)
    if record is not None:
        reason = f"refused: {message or 'the venue gave no reason'}"
        settle(state, record.signal, Outcome.REJECTED, reason, record.position_id)


def _under_way(state: State, signal_id: str) -> bool:
    return (
        any(order.signal_id == signal_id for order in state.orders.values())
        or any(position.closing_signal_id == signal_id for position in state.positions.values())
        or any(
            wish.cause.signal_id == signal_id
            for wishes in state.deferred.values()
            for wish in wishes
        )
    )
