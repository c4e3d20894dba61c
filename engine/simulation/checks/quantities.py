"""Invariants 1 and 2: never more closed than opened, and one net close whatever was submitted."""

from decimal import Decimal

from engine.model.instrument import InstrumentId, Market
from engine.model.order import Fill, Order, OrderSide
from engine.model.position import PositionStatus
from engine.simulation.checks.case import BACKSTOP, CLOSING, EXIT, ZERO, Case, base_fee, parts_of
from engine.simulation.oracle.stretches import fills_in
from engine.simulation.plan import EPOCH_NS

OVERSELL, NET_SIDE = "no_oversell", "net_side"
NET_CLOSE, BOUND_ID, ID_TAKEN_ONCE, WITHIN_HELD = (
    "one_net_close", "id_bound_to_request", "id_taken_once", "close_within_held"
)  # fmt: skip


def judge_quantities(case: Case) -> None:
    """Judge both, for every position that has executions or requests."""
    _judge_running(case)
    _judge_net(case)
    _judge_closed(case)
    _judge_ids(case)
    _judge_arrivals(case)


def _judge_running(case: Case) -> None:
    """At no moment have our orders closed more of a position than they had opened.

    At the end what others took counts too. Not before: a foreign execution is told later than it
    happens, and may be taken from what was bought meanwhile; invariant 6 judges where it is booked.
    """
    for position_id, fills in case.executions.items():
        if position_id in case.oversold:
            continue  # invariant 6 judges where the rest is booked
        case.judged(OVERSELL)
        held = ZERO
        for fill in fills:
            held += -fill.qty if _is_exit(fill) else fill.qty - base_fee(fill)
            if held < ZERO:
                text = f"{fill.client_order_id} closed {-held} more than was opened"
                case.blame(1, OVERSELL, fill.time_ns - EPOCH_NS, text)
                break
        foreign = sum((fill.qty for fill in case.foreign_of.get(position_id, ())), ZERO)
        if held >= ZERO > held - foreign:
            case.blame(1, OVERSELL, 0, f"{foreign - held} too much was taken from {position_id}")


def _judge_net(case: Case) -> None:
    """No close of ours turns what a linear instrument holds to the other side."""
    net: dict[InstrumentId, Decimal] = {}
    for fill in case.fills:
        instrument = fill.instrument.id
        if instrument.market is not Market.LINEAR:
            continue
        sign = 1 if fill.side is OrderSide.BUY else -1
        after = net[instrument] = net.get(instrument, ZERO) + sign * fill.qty
        ours = parts_of(fill.client_order_id)
        if ours is not None and ours[1] in CLOSING:
            case.judged(NET_SIDE)
            if after * sign > ZERO:
                text = f"{fill.client_order_id} turned {instrument} to {after}"
                case.blame(1, NET_SIDE, fill.time_ns - EPOCH_NS, text)


def received(fills: list[Fill]) -> Decimal:
    """Return what entries put into our hands."""
    return sum((fill.qty - base_fee(fill) for fill in fills if not _is_exit(fill)), ZERO)


def closed(fills: list[Fill]) -> Decimal:
    """Return what our exits closed."""
    return sum((fill.qty for fill in fills if _is_exit(fill)), ZERO)


def _is_exit(fill: Fill) -> bool:
    ours = parts_of(fill.client_order_id)
    return ours is not None and ours[1] in CLOSING


def _judge_closed(case: Case) -> None:
    """Of a closed position everything is accounted for: closed, taken by others, or dust."""
    for position in case.facts.positions:
        if position.status is not PositionStatus.CLOSED:
            continue
        case.judged(NET_CLOSE)
        fills = case.settled(position.id)
        foreign = sum((fill.qty for fill in case.foreign_of.get(position.id, ())), ZERO)
        left = received(fills) - closed(fills) - foreign - position.dust
        if left != ZERO:
            text = f"{position.id} is closed, and {left} of it is neither closed nor dust"
            case.blame(2, NET_CLOSE, 0, text)


def _facts(order: Order) -> tuple[object, ...]:
    return order.instrument.id, order.side, order.qty, order.reduce_only


def _judge_ids(case: Case) -> None:
    """An id stands for one request, in one process for ever, in all once the venue took it.

    A close goes before it is journalled: one that a crash kept from the venue is known to nobody
    afterwards, and its id may be made again for another quantity.
    """
    for requests in case.requests_of.values():
        first: dict[str, list[tuple[int, Order]]] = {}
        for at_ns, life, order in requests:
            key = order.client_order_id
            case.judged(BOUND_ID)
            for before_life, before in first.get(key, ()):
                if _facts(before) != _facts(order) and (
                    before_life == life or _was_taken(case, before, at_ns)
                ):
                    text = f"{key} asks for {order.qty} after it asked for {before.qty}"
                    case.blame(2, BOUND_ID, at_ns, text)
            first.setdefault(key, []).append((life, order))


def _was_taken(case: Case, order: Order, until_ns: int) -> bool:
    arrivals = case.arrivals_of.get(order.client_order_id, ())
    return any(
        a.taken and a.at_ns < until_ns and _facts(a.order) == _facts(order) for a in arrivals
    )


def _judge_arrivals(case: Case) -> None:
    """The venue takes an id once, unless the order under it ended without an execution."""
    for key, arrivals in case.arrivals_of.items():
        ours = parts_of(key)
        taken = [arrival for arrival in arrivals if arrival.taken]
        if ours is None or not taken:
            continue
        fills = case.executions.get(ours[0], [])
        under = [fill for fill in fills if fill.client_order_id == key]
        case.judged(ID_TAKEN_ONCE)
        again_ns = taken[-1].at_ns
        if len(taken) > 1 and any(fill.time_ns - EPOCH_NS < again_ns for fill in under):
            case.blame(2, ID_TAKEN_ONCE, again_ns, f"{key} was taken again after it had filled")
        if sum((fill.qty for fill in under), ZERO) > taken[-1].order.qty:
            case.blame(2, ID_TAKEN_ONCE, again_ns, f"{key} filled more than it asked for")
        if ours[1] == EXIT:
            for arrival in taken:
                _judge_within(case, ours[0], arrival.at_ns, arrival.order)


def _unheard(case: Case, position_id: str, order: Order) -> set[str]:
    """Trades of stop orders that the process did not know of when it sent an order."""
    sent = [r for r in case.requests_of.get(position_id, ()) if r.order == order]
    told = [case.history.told[place] for place in case.told_of.get(position_id, ())]
    known = {
        fill.venue_trade_id
        for each in told
        if sent and each.life <= sent[-1].life and each.at_ns < sent[-1].at_ns
        for fill in fills_in(each.event)
    }
    ours = case.executions.get(position_id, ())
    return {
        fill.venue_trade_id
        for fill in ours
        if (parts_of(fill.client_order_id) or "  ")[1] == BACKSTOP
    } - known


def _judge_within(case: Case, position_id: str, at_ns: int, order: Order) -> None:
    """A close that is taken asks for no more than is held of the position by our own orders.

    What a stop order closed at the venue counts once the process was told of it.
    """
    fills = case.executions.get(position_id, [])
    unheard = _unheard(case, position_id, order)
    before = [
        fill
        for fill in fills
        if fill.time_ns - EPOCH_NS <= at_ns and fill.venue_trade_id not in unheard
    ]
    held = received(before) - closed(before)
    case.judged(WITHIN_HELD)
    if order.qty > held and not any(
        fill.client_order_id == order.client_order_id for fill in before
    ):
        text = f"{order.client_order_id} asks for {order.qty} of {held}"
        case.blame(2, WITHIN_HELD, at_ns, text)
