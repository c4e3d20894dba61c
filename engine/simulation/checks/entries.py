"""Invariant 9: what a signal says counts for a while only, and until a later close.

Signals come late, again and in the wrong order. An entry that was sent before a close which the
process knows of already opens nothing, and neither does one older than signals may be.
"""

from engine.model.events import SignalReceived
from engine.model.instrument import InstrumentId, Market
from engine.model.signal import Action, Signal
from engine.simulation.checks.case import EXIT, Case, parts_of
from engine.simulation.plan import EPOCH_NS

SUPERSEDED, FRESH = "superseded_opens_nothing", "entry_is_fresh"
MAX_AGE_NS = 60_000_000_000
"""SIGNAL_MAX_AGE_SECONDS."""


def judge_entries_sent(case: Case) -> None:
    """Judge every entry that was sent or left unsent."""
    _judge_superseded(case)
    if any(struck.fault.kind == "jump" for struck in case.history.struck):
        return  # the age of a signal is told by the host's UTC
    for request in case.history.requests:
        signal = case.signals.get(request.order.signal_id or "")
        ours = parts_of(request.order.client_order_id)
        if signal is None or ours is None or ours[1] == EXIT:
            continue
        case.judged(FRESH)
        age_ns = EPOCH_NS + request.at_ns - signal.effective_sent_ns
        if age_ns > MAX_AGE_NS:
            text = f"{request.order.client_order_id} was sent {age_ns // 10**9} s after its signal"
            case.blame(9, FRESH, request.at_ns, text)


def _judge_superseded(case: Case) -> None:
    """A process remembers the closes that it took itself."""
    closed: dict[tuple[int, InstrumentId], int] = {}
    sent = {request.order.signal_id for request in case.history.requests}
    for place in case.signals_told:
        told = case.history.told[place]
        if not isinstance(told.event, SignalReceived):
            continue
        signal = told.event.signal
        key = (told.life, signal.instrument.id)
        if _closes_only(signal):
            closed[key] = max(closed.get(key, 0), signal.effective_sent_ns)
        elif signal.sent_at_ns is not None and signal.sent_at_ns < closed.get(key, 0):
            case.judged(SUPERSEDED)
            if signal.id in sent and _opened(case, signal):
                text = f"signal {signal.id} opened, and was sent before a close that was known"
                case.blame(9, SUPERSEDED, told.at_ns, text)


def _closes_only(signal: Signal) -> bool:
    is_spot = signal.instrument.id.market is Market.SPOT
    return signal.action is Action.CLOSE or (is_spot and signal.action is Action.SELL)


def _opened(case: Case, signal: Signal) -> bool:
    """Whether an entry or an add was sent for a signal; it may also have closed the other side."""
    return any(
        request.order.signal_id == signal.id and request.order.reason is None
        for request in case.history.requests
    )
