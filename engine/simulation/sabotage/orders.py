"""Defects of the order path: outcomes, retries, bookings."""

from typing import Any

from msgspec.structs import replace

from engine.core.closing import _send_exit
from engine.core.finishing import finish
from engine.core.orders import move_order
from engine.core.resend import resend_or_drop
from engine.core.state import Cause, State
from engine.model.effects import SubmitOrder
from engine.model.events import InstrumentRefreshed, OrderLookedUp, OrderUpdated, Started
from engine.model.exits import ExitReason
from engine.model.ids import Purpose
from engine.model.money import ZERO
from engine.model.order import Fill, Order, OrderStatus, Refusal
from engine.model.position import Position
from engine.simulation.sabotage.defect import Function, Sabotage

GIVE_UP_NS = 3_000_000_000


def _resend_without_look_up(original: Function) -> Function:
    def on_order_updated(state: State, event: OrderUpdated) -> None:
        original(state, event)
        order = state.orders.get(event.client_order_id)
        if order is not None and event.status is OrderStatus.UNKNOWN:
            resend_or_drop(state, order)

    return on_order_updated


def _new_id_on_retry(original: Function) -> Function:
    def on_order_updated(state: State, event: OrderUpdated) -> None:
        original(state, event)
        order = state.orders.get(event.client_order_id)
        if order is None or event.status is not OrderStatus.UNKNOWN:
            return
        if order.purpose is Purpose.EXIT:
            position = state.positions[order.position_id]
            cause = Cause(order.reason or ExitReason.MANUAL, signal_id=order.signal_id)
            _send_exit(state, position, order.qty - order.filled_qty, cause)

    return on_order_updated


def _unknown_becomes_rejected(original: Function) -> Function:
    def ask_overdue(state: State) -> None:
        original(state)
        for key, doubt in list(state.path.doubts.items()):
            order = state.orders.get(key)
            if order is None or order.status is not OrderStatus.UNKNOWN:
                continue
            if state.elapsed_ns - doubt.since_ns >= GIVE_UP_NS:
                late = replace(order, message="timeout")
                move_order(state, late, OrderStatus.REJECTED)

    return ask_overdue


def _one_miss_is_proof(original: Function) -> Function:
    del original

    def is_absent(state: State, order: Order, sent_ns: int, event: OrderLookedUp) -> bool:
        del state, order, sent_ns, event
        return True

    return is_absent


def _ignore_a_partial_fill(original: Function) -> Function:
    def book_fill(state: State, order: Order, fill: Fill) -> None:
        if order.filled_qty + fill.qty >= order.qty:
            original(state, order, fill)

    return book_fill


def _book_a_fill_twice(original: Function) -> Function:
    del original

    def is_booked(self: State, key: tuple[str, str]) -> bool:
        del self, key
        return False

    return is_booked


def _look_up_forgets_fills(original: Function) -> Function:
    def book_found(state: State, order: Order, event: OrderLookedUp) -> None:
        original(state, order, replace(event, fills=()))

    return book_found


def _restart_forgets_bookings(original: Function) -> Function:
    def on_started(state: State, event: Started) -> None:
        original(state, replace(event, booked=frozenset()))

    return on_started


def _skip_base_fees(original: Function) -> Function:
    del original

    def base_fee(fill: Fill) -> Any:
        del fill
        return ZERO

    return base_fee


def _retry_at_once(original: Function) -> Function:
    del original

    def retry_pause_ns(refusals: int) -> int:
        del refusals
        return 0

    return retry_pause_ns


def _ignore_retry_after(original: Function) -> Function:
    del original

    def pause_ns(retry_after_ns: int, times: int) -> int:
        del retry_after_ns, times
        return 0

    return pause_ns


def _reduce_only_means_flat(original: Function) -> Function:
    def after_exit(state: State, position: Position, order: Order, refusal: Refusal) -> None:
        if refusal is Refusal.REDUCE_ONLY and order.filled_qty == ZERO:
            finish(state, position, position.exit_reason or order.reason)
        else:
            original(state, position, order, refusal)

    return after_exit


def _refused_filters_stay(original: Function) -> Function:
    del original

    def on_instrument_refreshed(state: State, event: InstrumentRefreshed) -> None:
        for position in state.active_on(event.instrument.id):
            state.retries.pop(position.id, None)

    return on_instrument_refreshed


def _send_entries_before_commit(original: Function) -> Function:
    def command(self: State, command: Any) -> None:
        if isinstance(command, SubmitOrder) and command.after_commit:
            command = SubmitOrder(command.order, after_commit=False)
        original(self, command)

    return command


def _resend_old_entries(original: Function) -> Function:
    del original

    def check_age(config: Any, sent_ns: int, now_ns: int) -> None:
        del config, sent_ns, now_ns

    return check_age


ORDER_DEFECTS = (
    Sabotage(
        "resend_without_look_up",
        "a request of unknown outcome is sent again at once, under its id",
        (1, 2, 11),
        "engine.core.orders:on_order_updated",
        _resend_without_look_up,
    ),
    Sabotage(
        "new_id_on_retry",
        "an exit of unknown outcome is sent again under a new id",
        (1, 2, 11),
        "engine.core.orders:on_order_updated",
        _new_id_on_retry,
    ),
    Sabotage(
        "unknown_becomes_rejected",
        "an order of unknown outcome is taken for rejected after 3 s",
        (6, 11),
        "engine.core.asking:ask_overdue",
        _unknown_becomes_rejected,
    ),
    Sabotage(
        "one_miss_is_proof",
        "an order that one look-up misses counts as never received",
        (1, 2, 11),
        "engine.core.absence:is_absent",
        _one_miss_is_proof,
    ),
    Sabotage(
        "ignore_a_partial_fill",
        "a fill that does not complete its order is not booked",
        (3, 6),
        "engine.core.orders:book_fill",
        _ignore_a_partial_fill,
    ),
    Sabotage(
        "book_a_fill_twice",
        "a fill that is told twice is booked twice",
        (6,),
        "engine.core.state:State.is_booked",
        _book_a_fill_twice,
    ),
    Sabotage(
        "look_up_forgets_fills",
        "the fills that a look-up brings are not booked",
        (6, 14),
        "engine.core.lookups:_book_found",
        _look_up_forgets_fills,
    ),
    Sabotage(
        "restart_forgets_bookings",
        "after a start the fills that are in the ledger are not known",
        (6,),
        "engine.core.recovery:on_started",
        _restart_forgets_bookings,
    ),
    Sabotage(
        "skip_base_fees",
        "fees paid in the base asset do not reduce what is held",
        (1, 6),
        "engine.core.accounting:base_fee",
        _skip_base_fees,
    ),
    Sabotage(
        "retry_at_once",
        "a refused exit is tried again without a pause",
        (13,),
        "engine.core.refusals:retry_pause_ns",
        _retry_at_once,
    ),
    Sabotage(
        "ignore_retry_after",
        "a request that the venue put off goes again at once",
        (13,),
        "engine.core.deferral:_pause_ns",
        _ignore_retry_after,
    ),
    Sabotage(
        "reduce_only_means_flat",
        "a refusal of reduce-only is taken for flat without reading the account",
        (3, 6),
        "engine.core.closing:after_exit",
        _reduce_only_means_flat,
    ),
    Sabotage(
        "refused_filters_stay",
        "an exit refused by the filters is forgotten once they were read again",
        (3, 14),
        "engine.core.deferral:on_instrument_refreshed",
        _refused_filters_stay,
    ),
    Sabotage(
        "send_entries_before_commit",
        "an entry is sent without waiting for its commit",
        (10,),
        "engine.core.state:State.command",
        _send_entries_before_commit,
    ),
    Sabotage(
        "resend_old_entries",
        "an entry is sent however old its signal is",
        (9,),
        "engine.core.admission:check_age",
        _resend_old_entries,
    ),
)
