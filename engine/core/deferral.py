"""Requests that the venue did not take: the same request goes again, after a pause.

Nothing is asked for meanwhile, and nothing else is sent in its place: the venue asked for less.
"""

from msgspec.structs import replace

from engine.core.arming import arm, with_thresholds
from engine.core.asking import FIRST_ASK_NS, ask_in, look_up_first, note_resolved
from engine.core.closing import BEFORE_CLOSE, retry_exits
from engine.core.ladder import retry_rungs
from engine.core.order_path import Postponed, Retry
from engine.core.orders import move_order
from engine.core.refusals import REFUSALS_UNTIL_STUCK, alarm_stuck
from engine.core.resend import resend_or_drop
from engine.core.state import State
from engine.model.events import InstrumentRefreshed, OrderDeferred
from engine.model.ids import Purpose
from engine.model.instrument import Instrument
from engine.model.order import Order, OrderStatus, Refusal
from engine.model.position import Position

SHORTEST_PAUSE_NS = 1_000_000_000
LONGEST_PAUSE_NS = 60_000_000_000
BACKSTOP_TIMES = 4
"""A backstop waits as if it had been put off so often: other requests come first."""

NOT_HEARD_OF = (OrderStatus.INTENDED, OrderStatus.SENT)


def on_order_deferred(state: State, event: OrderDeferred) -> None:
    """The venue did not take a request: note when it is sent again.

    What the venue has said of an order before weighs more: that order is looked up.
    """
    key = event.client_order_id
    order = state.order(key)
    if order is None or state.path.waits(key):
        return
    if order.purpose is Purpose.BACKSTOP:
        _put_off(state, order, event)
        return
    before = state.path.postponed.get(key)
    if before is not None and state.elapsed_at_utc(event.at_ns) < before.resent_ns:
        # Told again of the request before, unless UTC is wrong: the venue's pause holds all the
        # same, and the request is asked for.
        _pause_venue(state, order, event, _due_ns(state, event, 1))
        return
    if order.status not in NOT_HEARD_OF:
        ask_in(state, order, FIRST_ASK_NS)
        return
    times = 1 + (before.times if before else 0)
    _postpone(state, order, event, times)
    order = state.put_order(replace(order, message=event.message or order.message))
    if order.purpose is Purpose.EXIT:
        refusals = state.retries.get(order.position_id)
        if times + (refusals.refusals if refusals else 0) >= REFUSALS_UNTIL_STUCK:
            alarm_stuck(state, state.positions[order.position_id], order.message)


def _put_off(state: State, order: Order, event: OrderDeferred) -> None:
    """The venue did not take a backstop: another one is placed after the pause."""
    if order.status not in NOT_HEARD_OF:
        ask_in(state, order, FIRST_ASK_NS)
        return
    due_ns = _due_ns(state, event, BACKSTOP_TIMES)
    _pause_venue(state, order, event, due_ns)
    state.backstops.retry_ns[order.position_id] = due_ns
    state.backstops.cancelling.add(order.position_id)
    message = event.message or "the venue did not take it"
    move_order(state, replace(order, message=message), OrderStatus.CANCELLED)


def _postpone(state: State, order: Order, event: OrderDeferred, times: int) -> None:
    key = order.client_order_id
    note_resolved(state, order)
    state.asking.pop(key, None)
    state.looking.discard(key)
    state.path.misses.pop(key, None)
    due_ns = _due_ns(state, event, times)
    state.path.postponed[key] = Postponed(times, due_ns)
    _pause_venue(state, order, event, due_ns)
    state.log(
        "order.deferred",
        client_order_id=key,
        position_id=order.position_id,
        pause_ms=_pause_ns(event.retry_after_ns, times) // 1_000_000,
        message=event.message,
    )


def _due_ns(state: State, event: OrderDeferred, times: int) -> int:
    """When a pause is over that begins with an answer."""
    # The clock is told before, or a period later; farther from the event it is where UTC is wrong.
    now_ns, told_ns = state.elapsed_ns, state.elapsed_at_utc(event.at_ns)
    is_right = abs(told_ns - now_ns) <= SHORTEST_PAUSE_NS
    began_ns = max(told_ns, now_ns) if is_right else now_ns + SHORTEST_PAUSE_NS
    return began_ns + _pause_ns(event.retry_after_ns, times)


def _pause_venue(state: State, order: Order, event: OrderDeferred, due_ns: int) -> None:
    """A venue that names a time takes nothing until then."""
    if event.retry_after_ns > 0:
        venue = order.instrument.id.venue
        state.path.paused[venue] = max(due_ns, state.path.paused.get(venue, 0))
        _hold_back_entries(state, venue)


def _hold_back_entries(state: State, venue: str) -> None:
    """Entries of a venue that wait for their commit are not sent when it is over."""
    for order in state.orders.values():
        key, is_entry = order.client_order_id, order.purpose is not Purpose.EXIT
        of_venue = order.instrument.id.venue == venue
        if of_venue and is_entry and key not in state.sent_ns and not state.path.waits(key):
            before = state.path.postponed.get(key)
            times = before.times if before else 0
            state.path.postponed[key] = Postponed(times, state.path.paused[venue])


def _pause_ns(retry_after_ns: int, times: int) -> int:
    """What the venue names, at least 1 s; else 1 s, doubling to 60 s."""
    if retry_after_ns > 0:
        return max(retry_after_ns, SHORTEST_PAUSE_NS)
    return min(SHORTEST_PAUSE_NS << min(times - 1, 6), LONGEST_PAUSE_NS)


def resend_deferred(state: State) -> None:
    """Send requests again whose pause is over; past the lease a close is looked up before."""
    for key, postponed in list(state.path.postponed.items()):
        if postponed.due_ns is None or state.elapsed_ns < postponed.due_ns:
            continue
        order = state.orders[key]
        sent_again = replace(postponed, due_ns=None, resent_ns=state.elapsed_ns)
        state.path.postponed[key] = sent_again
        if state.fenced and order.purpose is Purpose.EXIT:
            look_up_first(state, order)
        else:
            resend_or_drop(state, order)


# Filters


def on_instrument_refreshed(state: State, event: InstrumentRefreshed) -> None:
    """Positions of an instrument go by its new filters; exits that were refused are tried again.

    What is stuck keeps its pace, unless the filters are others than they were.
    """
    instrument = event.instrument
    view = state.markets.get(instrument.id)
    if view is None:
        return
    changed = view.instrument != instrument
    view.instrument = instrument
    for position in state.active_on(instrument.id):
        if position.instrument != instrument:
            _go_by(state, position, instrument)
        for retries in (state.retries, state.rung_retries):
            retry = retries.get(position.id)
            if retry is not None and _is_answered(retry, changed=changed):
                retries[position.id] = replace(retry, due_ns=state.elapsed_ns, answered=True)
    retry_exits(state)
    retry_rungs(state)


def _is_answered(retry: Retry, *, changed: bool) -> bool:
    """Tell whether a refused exit waits for nothing but the filters."""
    if retry.refusal is not Refusal.FILTERS:
        return False
    return changed or (not retry.answered and retry.refusals < REFUSALS_UNTIL_STUCK)


def _go_by(state: State, position: Position, instrument: Instrument) -> None:
    same_tick = position.instrument.tick_size == instrument.tick_size
    live = replace(state.with_live_peak(position), instrument=instrument)
    if same_tick:
        state.put_position(live)
        return
    position = state.put_position(with_thresholds(live))
    if position.status in BEFORE_CLOSE:
        arm(state, position)
