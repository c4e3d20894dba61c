"""What a closing signal means: which positions, and how much of each."""

from decimal import Decimal

from engine.core.admission import side_of
from engine.core.closing import close, remaining
from engine.core.outcomes import settle, settle_close_signal
from engine.core.state import Cause, State, Wish
from engine.core.waiting import drop_waiting, waiting_on
from engine.model.exits import ExitReason, Side
from engine.model.instrument import Market
from engine.model.money import ZERO, percent_of
from engine.model.position import Position
from engine.model.signal import Action, Outcome, Signal, SignalRecord, SizeKind


def closes_only(signal: Signal) -> bool:
    """Tell whether a signal can only close: ``close``, and ``sell`` on spot."""
    spot = signal.instrument.id.market is Market.SPOT
    return signal.action is Action.CLOSE or (signal.action is Action.SELL and spot)


def close_by_signal(state: State, signal: Signal, *, again: bool = False) -> None:
    """Close what a signal means: the instrument's positions, only its strategy's if it names one.

    A size on it is a part: ``qty`` in base from the oldest on, ``percent`` of each position's
    remaining quantity; other sizes say nothing of a close. Entries that wait for a price are
    dropped. Whatever came after the signal was sent is left alone. ``again``: an earlier process
    had it too.
    """
    instrument, sent_ns = signal.instrument.id, signal.sent_at_ns
    before_ns = state.last_close_ns.get(instrument, 0)
    state.last_close_ns[instrument] = max(signal.effective_sent_ns, before_ns)
    drop_superseded(state, signal)
    meant = [p for p in state.active_on(instrument) if _is_meant(p.side, p.strategy, signal)]
    targets = [p for p in meant if sent_ns is None or p.created_at_ns <= sent_ns]
    if not targets:
        _nothing_to_close(state, signal, too_late=bool(meant))
        return
    state.put_signal(SignalRecord(signal, position_id=targets[0].id))
    if _close_targets(state, signal, targets, again=again):
        settle_close_signal(state, signal.id)
    else:
        settle(state, signal, Outcome.IGNORED, "part_too_small: the venue takes no order so small")


def _close_targets(state: State, signal: Signal, targets: list[Position], *, again: bool) -> bool:
    """Close the targets as far as the signal's size goes; tells whether any close is under way."""
    cause = Cause(ExitReason.SIGNAL, signal.source, signal.id)
    size = signal.size
    rest = size.value if size is not None and size.kind is SizeKind.QTY else None
    under_way = False
    for position in targets:
        part = _part_of(state, position, signal, rest)
        if rest is not None and part is not None:
            if rest <= ZERO:
                break
            rest -= part
        under_way |= close(state, position, Wish(cause, part, again))
    return under_way


def _part_of(
    state: State, position: Position, signal: Signal, rest: Decimal | None
) -> Decimal | None:
    """The part to close, None for the whole."""
    left = remaining(state, position)
    if rest is not None:
        return min(left, position.instrument.floor_qty(rest))
    if signal.size is not None and signal.size.kind is SizeKind.PERCENT:
        return position.instrument.floor_qty(percent_of(left, signal.size.value))
    return None


def _is_meant(side: Side, strategy: str | None, signal: Signal) -> bool:
    if signal.action is Action.CLOSE:
        return signal.strategy is None or signal.strategy == strategy
    return side is (Side.LONG if signal.action is Action.SELL else Side.SHORT)


def drop_superseded(state: State, signal: Signal) -> None:
    """Drop the entries that a closing or opposite signal finds waiting for their first price."""
    for entry in waiting_on(state, signal.instrument.id):
        other = entry.signal
        before = signal.sent_at_ns is None or other.effective_sent_ns <= signal.sent_at_ns
        if before and _is_meant(side_of(other), other.strategy, signal):
            drop_waiting(state, entry, "superseded: a close came before its first price")


def _nothing_to_close(state: State, signal: Signal, *, too_late: bool) -> None:
    instrument = signal.instrument.id
    if too_late:
        reason = f"superseded: what is open on {instrument} was opened after this was sent"
    elif signal.action is Action.CLOSE:
        reason = f"nothing_open: no position on {instrument} to close"
    else:
        reason = f"no_position: nothing to sell on {instrument}, and spot cannot be sold short"
    outcome = Outcome.IGNORED if signal.action is Action.CLOSE else Outcome.REJECTED
    settle(state, signal, outcome, reason)
