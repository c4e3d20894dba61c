"""Invariants 10, 11 and 13: what is sent when, and what not while its like is unresolved."""

from engine.model.effects import SaveOrder
from engine.model.events import OrderDeferred
from engine.model.order import Order, OrderStatus
from engine.simulation.checks.case import ADD, CLOSING, ENDED, ENTRY, EXIT, ZERO, Case, parts_of
from engine.simulation.checks.known import Known, timeline
from engine.simulation.history import Request, Told
from engine.simulation.plan import EPOCH_NS

INTENT, SEQUENCE, ABSENT, IN_FLIGHT, BOUNDED, PATIENT, VENUE_PAUSE = (
    "intent_first", "exit_sequence", "never_after_final", "in_flight_within_held",
    "requests_bounded", "retry_after_kept", "venue_pause_kept",
)  # fmt: skip
WRITTEN_OFF = ENDED - {OrderStatus.FILLED}
MOST_IN_FLIGHT = 4
OF_VENUE = ("rate limit", "banned")
NS_PER_MINUTE = 60_000_000_000
PER_MINUTE = {
    "submit": 240,
    "look_up": 3000,
    "cancel": 240,
    "read_account": 300,
    "refresh": 120,
    "check": 900,
    "fetch_missed": 240,
}
"""Most requests of a kind in a virtual minute and life: six positions, each order asked for once a
second while it is not known, each instrument once a second while its prices do not arrive."""


def judge_sending(case: Case) -> None:
    """Judge every request."""
    for requests in case.requests_of.values():
        _judge_order(case, requests)
        _judge_in_flight(case, requests)
    _judge_final(case)
    _judge_bounds(case)
    _judge_patience(case)


# 10


def _judge_order(case: Case, requests: list[Request]) -> None:
    """An entry leaves after its commit; an exit's id is one that a start would ask for.

    Past the lease an exit is looked up first, and one that was decided later may leave before it.
    """
    last = -1
    for at_ns, _, order in requests:
        key = order.client_order_id
        ours = parts_of(key)
        if ours is None:
            continue
        if ours[1] != EXIT:
            case.judged(INTENT)
            durable_ns = case.durable.get(key)
            if durable_ns is None or durable_ns > at_ns:
                case.blame(10, INTENT, at_ns, f"{key} was sent before it was durable")
            continue
        case.judged(SEQUENCE)
        durable_ns = case.durable.get(key)
        if ours[2] > last + MOST_IN_FLIGHT and (durable_ns is None or durable_ns > at_ns):
            case.blame(10, SEQUENCE, at_ns, f"{key} was sent after generation {last}")
        last = max(last, ours[2])


# 11


def _judge_final(case: Case) -> None:
    """What was written refused or cancelled never becomes an order at the venue afterwards."""
    gone: dict[str, int] = {}
    for at_ns, _, record in case.records():
        if isinstance(record, SaveOrder) and record.order.status in WRITTEN_OFF:
            gone.setdefault(record.order.client_order_id, at_ns)
    for key, at_ns in gone.items():
        case.judged(ABSENT)
        for arrival in case.arrivals_of.get(key, ()):
            if arrival.taken and arrival.at_ns > at_ns:
                text = f"{key} was taken by the venue after it was written off"
                case.blame(11, ABSENT, arrival.at_ns, text)


def _judge_in_flight(case: Case, requests: list[Request]) -> None:
    """Nothing else is asked for by a signal while its entry or add is not resolved.

    An add that another signal asks for is no second attempt.
    Exits may be in flight together (slices, rungs, parts): four at most, and together no more than
    what a position was ever told to have received less what its exits were told to have closed.
    """
    position_id = requests[0].order.position_id
    for life in dict.fromkeys(request.life for request in requests):
        known = Known()
        for at_ns, item in timeline(case, position_id, life, requests):
            if isinstance(item, Order):
                case.judged(IN_FLIGHT)
                why = _is_too_much(case, known, item)
                if why is not None:
                    case.blame(11, IN_FLIGHT, at_ns, f"{item.client_order_id}: {why}")
                known.ask(item)
            else:
                known.take(item)


def _is_too_much(case: Case, known: Known, order: Order) -> str | None:
    ours = parts_of(order.client_order_id)
    if ours is None:
        return None
    others = [o for o in known.in_flight(ours[1]) if o.client_order_id != order.client_order_id]
    if ours[1] in {ENTRY, ADD}:
        same = [o.client_order_id for o in others if o.signal_id == order.signal_id]
        return f"{same[0]} is not resolved" if same else None
    if len(others) >= MOST_IN_FLIGHT:
        return f"{len(others)} exits are in flight already"
    bought = sum(
        (f.qty for f in case.executions.get(ours[0], ()) if not _is_close(f.client_order_id)),
        ZERO,
    )
    closed = sum((q for k, q in known.filled.items() if (parts_of(k) or "  ")[1] == EXIT), ZERO)
    asked = order.qty + sum(
        (o.qty - known.filled.get(o.client_order_id, ZERO) for o in others), ZERO
    )
    asked -= known.filled.get(order.client_order_id, ZERO)
    return f"{asked} is asked for, of {bought - closed}" if asked > bought - closed else None


def _is_close(client_order_id: str | None) -> bool:
    ours = parts_of(client_order_id)
    return ours is not None and ours[1] in CLOSING


# 13


def _judge_bounds(case: Case) -> None:
    minutes: dict[int, int] = {}
    end_ns = case.history.quiet_ns or max(
        (life.ended_ns or life.began_ns for life in case.history.lives), default=0
    )
    for life in case.history.lives:
        lasted_ns = (life.ended_ns or max(end_ns, life.began_ns)) - life.began_ns
        minutes[life.number] = 1 + lasted_ns // NS_PER_MINUTE
    for name, count in case.history.calls.items():
        number, kind = name.split(".", 1)
        most = PER_MINUTE.get(kind)
        if most is None:
            continue
        case.judged(BOUNDED)
        if count > most * minutes.get(int(number), 1):
            text = (
                f"life {number} made {count} requests of {kind} in {minutes.get(int(number))} min"
            )
            case.blame(13, BOUNDED, 0, text)


def _judge_patience(case: Case) -> None:
    """A request is not repeated before the venue's time, which runs from its answer.

    Where the venue limits or bans us as a whole, no entry goes there meanwhile either.
    """
    for place in case.deferrals:
        told = case.history.told[place]
        if isinstance(told.event, OrderDeferred) and told.event.retry_after_ns > 0:
            case.judged(PATIENT)
            _judge_pause(case, told, told.event)


def _judge_pause(case: Case, told: Told, event: OrderDeferred) -> None:
    until_ns = event.at_ns - EPOCH_NS + event.retry_after_ns
    venue = case.venue_of(event) if event.message in OF_VENUE else None
    case.judged(VENUE_PAUSE, int(venue is not None))
    for request in case.history.requests:
        if request.life != told.life or not told.at_ns < request.at_ns < until_ns:
            continue
        order, ours = request.order, parts_of(request.order.client_order_id)
        is_entry = ours is not None and ours[1] != EXIT
        wait_ms = (until_ns - request.at_ns) // 1_000_000
        if order.client_order_id == event.client_order_id:
            text = f"{order.client_order_id} was sent {wait_ms} ms before the venue's time"
            case.blame(13, PATIENT, request.at_ns, text)
        elif is_entry and order.instrument.id.venue == venue:
            text = f"{order.client_order_id} was sent {wait_ms} ms inside a pause of the venue"
            case.blame(13, VENUE_PAUSE, request.at_ns, text)
