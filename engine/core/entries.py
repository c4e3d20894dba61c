"""What a signal does: closes, waits for a price, or becomes a position and its entry order."""

from msgspec.structs import replace

from engine.core.admission import Refused, admit, check_before_price, side_of
from engine.core.closing import close_by_signal
from engine.core.state import State, Waiting
from engine.model.effects import SubmitOrder
from engine.model.events import SignalReceived
from engine.model.exits import Side
from engine.model.ids import Purpose, client_order_id
from engine.model.instrument import Market
from engine.model.order import Order, OrderSide
from engine.model.position import Position
from engine.model.signal import Action, Outcome, Signal, SignalRecord


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
        _enter(state, signal, event.position_id)


def closes_only(signal: Signal) -> bool:
    """Tell whether a signal can only close: ``close``, and ``sell`` on spot."""
    spot = signal.instrument.id.market is Market.SPOT
    return signal.action is Action.CLOSE or (signal.action is Action.SELL and spot)


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


def _enter(state: State, signal: Signal, position_id: str) -> None:
    side = side_of(signal)
    present = state.active_on(signal.instrument.id)
    waiting = [w for w in state.waiting.values() if w.signal.instrument.id == signal.instrument.id]
    sides = {p.side for p in present} | {side_of(w.signal) for w in waiting}
    if side.opposite in sides:
        _meet_opposite(state, signal, waiting)
        return
    same = [p.strategy for p in present] + [w.signal.strategy for w in waiting]
    if signal.strategy in same:
        settle(state, signal, Outcome.IGNORED, "already_open: ON_SAME_SIGNAL is ignore")
        return
    try:
        check_before_price(state, signal, state.at_ns)
    except Refused as refusal:
        settle(state, signal, Outcome.REJECTED, str(refusal))
        return
    _enter_at_price(state, signal, position_id)


def _meet_opposite(state: State, signal: Signal, waiting: list[Waiting]) -> None:
    if not state.config.close_on_opposite:
        settle(state, signal, Outcome.IGNORED, "opposite_open: ON_OPPOSITE_SIGNAL is ignore")
        return
    for entry in waiting:
        drop_waiting(state, entry, "superseded: an opposite signal came before its first price")
    close_by_signal(state, replace(signal, size=None))


def _enter_at_price(state: State, signal: Signal, position_id: str) -> None:
    """Admit the entry if a price is known, else let it wait for the first one."""
    view = state.watch(signal.instrument)
    order_side = _order_side(side_of(signal))
    price = None if signal.instrument.id in state.blind else view.entry_price(order_side)
    if price is None:
        deadline_ns = state.at_ns + state.config.price_wait_ns
        state.waiting[signal.id] = Waiting(signal, position_id, deadline_ns)
        view.waiting += 1
        return
    try:
        entry = admit(state, signal, price)
    except Refused as refusal:
        settle(state, signal, Outcome.REJECTED, str(refusal))
        state.unwatch_unused(signal.instrument.id)
        return
    position = state.put_position(
        Position(
            id=position_id,
            instrument=signal.instrument,
            side=side_of(signal),
            exits=entry.exits,
            trigger=state.config.trigger,
            created_at_ns=state.at_ns,
            signal_id=signal.id,
            strategy=signal.strategy,
        )
    )
    state.put_signal(SignalRecord(signal, position_id=position_id))
    order = Order(
        client_order_id=client_order_id(position_id, Purpose.ENTRY, 0),
        position_id=position_id,
        instrument=signal.instrument,
        side=position.entry_side,
        purpose=Purpose.ENTRY,
        generation=0,
        qty=entry.qty,
        reduce_only=False,
        created_at_ns=state.at_ns,
        actor=signal.source,
        signal_id=signal.id,
    )
    state.put_order(order)
    state.reserved[order.client_order_id] = entry.funds
    state.command(SubmitOrder(order, after_commit=True))


def _order_side(side: Side) -> OrderSide:
    return OrderSide.BUY if side is Side.LONG else OrderSide.SELL


def retry_waiting(state: State, instrument_waits: list[Waiting]) -> None:
    """Try entries again whose instrument has a price now."""
    for entry in instrument_waits:
        _leave_waiting(state, entry)
        _enter_at_price(state, entry.signal, entry.position_id)


def drop_waiting(state: State, entry: Waiting, reason: str) -> None:
    """Give up an entry that was still waiting for a price."""
    _leave_waiting(state, entry)
    settle(state, entry.signal, Outcome.REJECTED, reason)
    state.unwatch_unused(entry.signal.instrument.id)


def expire_waiting(state: State) -> None:
    """Give up entries for which no price came in time."""
    for entry in list(state.waiting.values()):
        if state.at_ns >= entry.deadline_ns:
            seconds = state.config.price_wait_ns // 10**9
            instrument = entry.signal.instrument.id
            drop_waiting(state, entry, f"no_price: no price of {instrument} within {seconds} s")


def _leave_waiting(state: State, entry: Waiting) -> None:
    del state.waiting[entry.signal.id]
    state.markets[entry.signal.instrument.id].waiting -= 1
