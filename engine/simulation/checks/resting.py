"""Invariants 3 and 14: what is left at the end is guarded or alarmed, and the end is reached."""

from engine.model.order import OrderStatus
from engine.model.position import GuardStatus, Position, PositionStatus
from engine.model.signal import Outcome
from engine.simulation.checks.case import ENDED, ZERO, Case
from engine.simulation.checks.quantities import closed, received

GUARDED, KNOWN_HOLDING = "guarded_at_rest", "known_holding"
COMES_TO_REST, FINAL_ORDERS, SETTLED = "comes_to_rest", "orders_final", "signals_settled"
REST_WITHIN_NS = 600_000_000_000
"""N = 10 virtual minutes after the last fault."""

OVER = (PositionStatus.CLOSED, PositionStatus.REJECTED)
ALARMS = {
    "position.stuck": "position_id",
    "position.unresolved": "position_id",
    "account.unexplained": "instrument",
    "feed.lost": "instruments",
    "instrument.delisted": "instrument",
}


def judge_rest(case: Case) -> None:
    """Judge the end of a lifetime."""
    alarmed = _alarmed(case)
    for position in case.facts.positions:
        case.judged(GUARDED)
        if position.status not in OVER and not _is_guarded(position, alarmed):
            text = f"{position.id} is {position.status} and {position.guard}, and nobody was told"
            case.blame(3, GUARDED, case.history.quiet_ns or 0, text)
    for position_id, fills in case.executions.items():
        case.judged(KNOWN_HOLDING)
        if position_id not in case.positions and received(fills) != closed(fills):
            case.blame(3, KNOWN_HOLDING, 0, f"{position_id} holds something and is not in storage")
    _judge_liveness(case)


def _alarmed(case: Case) -> set[str]:
    """Subjects (positions, instruments) that the owner was ever told of."""
    found: set[str] = set()
    for notice in case.facts.notices:
        field = ALARMS.get(notice.kind)
        if field is not None:
            value = notice.data.get(field, ())
            found.update([value] if isinstance(value, str) else value)
    return found


def _is_guarded(position: Position, alarmed: set[str]) -> bool:
    watched = position.status in {PositionStatus.OPENING, PositionStatus.OPEN}
    if watched and position.guard is GuardStatus.ARMED:
        return True
    return position.id in alarmed or str(position.instrument.id) in alarmed


def _judge_liveness(case: Case) -> None:
    """Everything comes to rest in time: quiet, every order final, every signal settled."""
    history = case.history
    case.judged(COMES_TO_REST)
    if history.quiet_ns is None:
        case.blame(14, COMES_TO_REST, 0, "the service did not come to rest in 10 minutes")
    elif history.quiet_ns - history.healed_ns > REST_WITHIN_NS:
        case.blame(14, COMES_TO_REST, history.quiet_ns, "it took more than 10 minutes to rest")
    for order in case.facts.orders:
        case.judged(FINAL_ORDERS)
        if order.status not in ENDED:
            case.blame(14, FINAL_ORDERS, 0, f"{order.client_order_id} is still {order.status}")
    for record in case.facts.signals:
        case.judged(SETTLED)
        if record.outcome is Outcome.PENDING:
            case.blame(14, SETTLED, 0, f"signal {record.signal.id} is still pending")
    for venue in case.venues.values():
        for kept in venue.orders:
            if kept.status is OrderStatus.ACKNOWLEDGED and kept.filled_qty == ZERO:
                text = f"{kept.order.client_order_id} still works at the venue"
                case.blame(14, FINAL_ORDERS, 0, text)
