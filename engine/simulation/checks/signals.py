"""Invariants 7, 8 and 9: what was answered is durable, what was sent has a cause, once."""

from engine.model.events import BotSwitched, CloseRequested, ExitsAmended
from engine.model.exits import ExitReason
from engine.model.order import Order
from engine.model.signal import Action, Outcome, Signal
from engine.simulation.checks.case import Case, parts_of
from engine.simulation.history import Delivery

DURABLE, TRACED, ONE_POSITION, ONE_ID = (
    "answered_is_durable", "order_has_cause", "one_position_a_signal", "one_id_a_signal"
)  # fmt: skip
TAKEN = (200, 202)
GUARD = "guard"
REPEATS_WITHIN_NS = 60_000_000_000


def judge_signals(case: Case) -> None:
    """Judge answers, causes and repetitions."""
    for delivery in case.history.deliveries:
        if delivery.status in TAKEN:
            _judge_answer(case, delivery)
    _judge_causes(case)
    _judge_repeats(case)
    opened: dict[str, list[str]] = {}
    for position in case.facts.positions:
        opened.setdefault(position.signal_id or "", []).append(position.id)
    for signal_id, positions in opened.items():
        case.judged(ONE_POSITION)
        if len(positions) > 1 or not signal_id:
            case.blame(9, ONE_POSITION, 0, f"signal {signal_id!r} opened {positions}")


def _judge_answer(case: Case, delivery: Delivery) -> None:
    """An answer of 200 or 202 comes after the row is durable, and the row gets its outcome."""
    case.judged(DURABLE)
    answered_ns, signal_id = delivery.answered_ns or 0, delivery.signal_id or ""
    durable_ns = case.durable.get(signal_id)
    if durable_ns is None or durable_ns > answered_ns:
        text = f"signal {signal_id} was answered {delivery.status} before it was durable"
        case.blame(7, DURABLE, answered_ns, text)
    outcomes = [r.outcome for r in case.facts.signals if r.signal.id == signal_id]
    if not outcomes or outcomes[0] is Outcome.PENDING:
        text = f"signal {signal_id} was answered and has no outcome at the end"
        case.blame(7, DURABLE, answered_ns, text)


# Causes


def _judge_causes(case: Case) -> None:
    """Each request goes back to a signal that was taken, an act of the owner, or the guard."""
    actors = _owners(case)
    known = case.signals
    for request in case.history.requests:
        order = request.order
        case.judged(TRACED)
        why = _lacks_cause(case, order, known, actors)
        if why is not None:
            case.blame(8, TRACED, request.at_ns, f"{order.client_order_id}: {why}")
    asked = {request.order.client_order_id for request in case.history.requests}
    for name in sorted(case.venues):
        for kept in case.venues[name].orders:
            key = kept.order.client_order_id
            if parts_of(key) is not None and key not in asked:
                case.blame(8, TRACED, 0, f"the venue has {key}, which no process asked for")


def _owners(case: Case) -> set[str]:
    """Who the owner is when he acts."""
    found = set()
    for places in case.told_of.values():
        for place in places:
            event = case.history.told[place].event
            if isinstance(event, CloseRequested | ExitsAmended | BotSwitched):
                found.add(event.actor)
    return found


def _lacks_cause(
    case: Case, order: Order, known: dict[str, Signal], actors: set[str]
) -> str | None:
    ours = parts_of(order.client_order_id)
    if ours is None or ours[0] != order.position_id:
        return "its id is not of its position"
    signal = known.get(order.signal_id or "")
    if order.signal_id is not None and signal is None:
        return f"signal {order.signal_id} was never taken"
    if order.reason is None:
        if signal is None or signal.action is Action.CLOSE:
            return "no signal asked for this entry"
        same = signal.instrument.id == order.instrument.id and order.actor == signal.source
        return None if same else "its signal asked for something else"
    if order.actor == GUARD:
        return None
    if signal is not None:
        is_meant = order.reason is ExitReason.SIGNAL and order.actor == signal.source
        same = is_meant and signal.instrument.id == order.instrument.id
        return None if same else "its signal asked for something else"
    return None if order.actor in actors else f"{order.actor} asked for nothing"


# Repetitions


def _judge_repeats(case: Case) -> None:
    """All deliveries of one number are answered with one id, and open one position at most.

    Without an id of the sender only those of which none came later than 60 s after the first, and
    with no other signal on the instrument between them, are repetitions for sure.
    """
    by_number: dict[int, list[Delivery]] = {}
    for delivery in case.history.deliveries:
        by_number.setdefault(delivery.signal.number, []).append(delivery)
    for number, deliveries in by_number.items():
        ids = dict.fromkeys(d.signal_id for d in deliveries if d.status in TAKEN)
        if not ids or not _are_one(case, deliveries):
            continue
        case.judged(ONE_ID)
        if len(ids) > 1:
            text = f"signal {number} is known as {', '.join(map(str, ids))}"
            case.blame(9, ONE_ID, deliveries[-1].at_ns, text)
        opened = [p.id for p in case.facts.positions if p.signal_id in ids]
        if len(opened) > 1:
            case.blame(9, ONE_POSITION, 0, f"signal {number} opened {opened}")


def _are_one(case: Case, deliveries: list[Delivery]) -> bool:
    signal = deliveries[0].signal
    if signal.has_id:
        return True
    began_ns, ended_ns = deliveries[0].at_ns, deliveries[-1].at_ns
    if ended_ns - began_ns >= REPEATS_WITHIN_NS - 2_000_000_000:
        return False
    if any(struck.fault.kind == "jump" for struck in case.history.struck):
        return False  # the 60 s are of the host's UTC
    return not any(
        other.signal.instrument.id == signal.instrument.id
        and other.signal.number != signal.number
        and began_ns - 2_000_000_000 <= other.at_ns <= ended_ns
        for other in case.history.deliveries
    )
