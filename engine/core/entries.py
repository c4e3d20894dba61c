"""What a signal does: closes, waits for a price, or becomes a position and its entry order."""

from msgspec.structs import replace

from engine.core.admission import (
    Entry,
    Refused,
    admit,
    admit_add,
    check_age,
    check_before_price,
    check_room,
    holdings_refusal,
    side_of,
    trigger_of,
)
from engine.core.close_signals import close_by_signal, closes_only, drop_superseded
from engine.core.outcomes import settle
from engine.core.state import State, Waiting
from engine.core.submitting import submit
from engine.core.waiting import leave_waiting, wait_for_price, waiting_on
from engine.model.events import SignalReceived
from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import InstrumentId
from engine.model.order import Order, OrderSide
from engine.model.position import Position, PositionStatus
from engine.model.signal import Outcome, Signal, SignalRecord


def on_signal(state: State, event: SignalReceived) -> None:
    """Act on a new signal; its row is saved in this step whatever becomes of it."""
    signal = event.signal
    state.put_signal(SignalRecord(signal))
    state.log(
        "signal.received",
        signal.source,
        signal_id=signal.id,
        action=str(signal.action),
        instrument=str(signal.instrument.id),
    )
    if closes_only(signal):
        close_by_signal(state, signal)
    else:
        enter(state, signal, event.position_id)


def enter(state: State, signal: Signal, position_id: str) -> None:
    """Open a position by a signal, or record why not; what is open there decides first."""
    side = side_of(signal)
    present = state.active_on(signal.instrument.id)
    waiting = waiting_on(state, signal.instrument.id)
    if side.opposite in {p.side for p in present} | {side_of(w.signal) for w in waiting}:
        _meet_opposite(state, signal, is_open=bool(present))
    else:
        deadline_ns = state.elapsed_ns + state.config.price_wait_ns
        _try_entry(state, Waiting(signal, position_id, deadline_ns))


def _meet_opposite(state: State, signal: Signal, *, is_open: bool) -> None:
    """Close whole, and do not open; an entry that still waits for its price is dropped."""
    if not state.config.close_on_opposite:
        settle(state, signal, Outcome.IGNORED, "opposite_open: ON_OPPOSITE_SIGNAL is ignore")
        return
    if is_open:
        close_by_signal(state, replace(signal, size=None))
        return
    drop_superseded(state, signal)
    settle(state, signal, Outcome.IGNORED, "opposite_waiting: an entry still waited for its price")


def _try_entry(state: State, entry: Waiting) -> None:
    """Admit an entry if a price is known, else let it wait for the first one.

    Whether its strategy is in the market already is asked each time: of entries that wait together
    the first may have been refused.
    """
    signal, instrument = entry.signal, entry.signal.instrument
    same = [p for p in state.active_on(instrument.id) if p.strategy == signal.strategy]
    if same and not state.config.add_on_same:
        settle(state, signal, Outcome.IGNORED, "already_open: ON_SAME_SIGNAL is ignore")
        return
    try:
        check_before_price(state, signal)
        _check_present(state, same)
        view = state.watch(instrument)
        price = view.entry_price(_order_side(signal))
        if price is None or view.doubted or instrument.id in state.blind:
            wait_for_price(state, entry)
            return
        if same:
            _add(state, signal, same[0], admit_add(state, signal, same[0], price))
            return
        admitted = admit(state, signal, price)
    except Refused as refusal:
        settle(state, signal, Outcome.REJECTED, str(refusal))
        state.unwatch_unused(instrument.id)
        return
    _open(state, entry, admitted)


def _check_present(state: State, same: list[Position]) -> None:
    """Raise Refused when there is no room for a position, or nothing open to add to."""
    if not same:
        check_room(state)
    elif same[0].status is not PositionStatus.OPEN:
        raise Refused(f"not_open: the position to add to is {same[0].status}; send it again later")


def _add(state: State, signal: Signal, position: Position, admitted: Entry) -> None:
    """Buy more of what is open; its rules stay its own."""
    if not replace(signal.exits, close_at_ns=None).is_empty:  # the default CLOSE_AT is no word
        state.log("signal.exits_ignored", signal_id=signal.id, position_id=position.id)
    progress = replace(position.progress, adds=position.progress.adds + 1)
    position = state.put_position(replace(position, progress=progress))
    _send_entry(state, signal, position, Purpose.ADD, progress.adds - 1, admitted)


def _open(state: State, entry: Waiting, admitted: Entry) -> None:
    signal = entry.signal
    position = Position(
        id=entry.position_id,
        instrument=signal.instrument,
        side=side_of(signal),
        exits=admitted.exits,
        trigger=trigger_of(signal, state.config),
        created_at_ns=state.at_ns,
        signal_id=signal.id,
        strategy=signal.strategy,
    )
    _send_entry(state, signal, state.put_position(position), Purpose.ENTRY, 0, admitted)


def _send_entry(
    state: State,
    signal: Signal,
    position: Position,
    purpose: Purpose,
    generation: int,
    admitted: Entry,
) -> None:
    """Make the order that buys (or sells short) what was admitted; sent after its commit."""
    order = Order(
        client_order_id=client_order_id(position.id, purpose, generation),
        position_id=position.id,
        instrument=signal.instrument,
        side=position.entry_side,
        purpose=purpose,
        generation=generation,
        qty=admitted.qty,
        reduce_only=False,
        created_at_ns=state.at_ns,
        actor=signal.source,
        signal_id=signal.id,
    )
    state.put_signal(SignalRecord(signal, position_id=position.id))
    state.put_order(order)
    state.reserved[order.client_order_id] = admitted.funds
    submit(state, order)


def _order_side(signal: Signal) -> OrderSide:
    return OrderSide(str(signal.action))


def retry_waiting(state: State, instrument: InstrumentId) -> None:
    """Try the entries again that waited for a price of an instrument; there is one now."""
    for entry in waiting_on(state, instrument):
        leave_waiting(state, entry)
        _try_entry(state, entry)


def entry_refusal(state: State, order: Order, at_ns: int) -> str | None:
    """Why an entry that was not sent yet must not be sent any more; None when it may be.

    Between the decision and the commit that lets it go, and still more between a crash and the
    look-up that proves it absent, the owner may have stopped the bot and the market moved on.
    """
    position = state.positions.get(order.position_id)
    if position is None or order.client_order_id not in state.orders:
        return "settled: the entry has come to its end already"
    wanted = PositionStatus.OPEN if order.purpose is Purpose.ADD else PositionStatus.OPENING
    if position.status is not wanted:
        return "closed: a close came before the entry was sent"
    if state.fenced:
        return "fenced: the lease of the one writer is over"
    if not state.accepting:
        return "bot_stopped: the bot was stopped before the entry was sent"
    record = state.signals.get(order.signal_id or "")
    sent_ns = order.created_at_ns if record is None else record.signal.effective_sent_ns
    try:
        check_age(state.config, sent_ns, at_ns)
    except Refused as refusal:
        return str(refusal)
    return holdings_refusal(state, order.instrument, position.side)
