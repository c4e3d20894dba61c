"""When an order is proved not to be at the venue (DESIGN.md 2.2).

That a look-up misses it proves nothing by itself: a venue's records lag behind, and a request may
be on its way for as long as the venue takes it.
"""

from engine.core.order_path import Misses
from engine.core.state import State
from engine.model.effects import ReadAccount
from engine.model.events import OrderLookedUp
from engine.model.order import Order

MISSES_NEEDED = 3
APART_NS = 1_000_000_000
SETTLED_NS = 5_000_000_000
READ_AGAIN_NS = 5_000_000_000


def is_absent(state: State, order: Order, sent_ns: int, event: OrderLookedUp) -> bool:
    """Count a miss and tell whether it is final.

    It is when the venue cannot take the request any more, three misses in a row lie at least 1 s
    apart, and an account read after the request may have left shows nothing unexplained.

    Args:
        sent_ns: elapsed time at which the request may last have left.
    """
    if event.certain:
        return True
    key = event.client_order_id
    # Never later than the clock has it: UTC may have been set since.
    at_ns = min(state.elapsed_ns, state.elapsed_at_utc(event.at_ns))
    before = state.path.misses.get(key)
    if before is not None and at_ns - before.last_ns < APART_NS:
        return False
    count = 1 if before is None else before.count + 1
    state.path.misses[key] = Misses(count, at_ns)
    agrees = _account_agrees(state, order, sent_ns)
    if count == 1 or not agrees:
        _read_account(state, order.instrument.id.venue, sent_ns)
    over_ns = sent_ns + state.config.recv_window_ns + SETTLED_NS
    return agrees and count >= MISSES_NEEDED and at_ns >= over_ns


def _account_agrees(state: State, order: Order, sent_ns: int) -> bool:
    """Tell whether an account read since shows no change that executions do not explain.

    What was unexplained when the request left is no trace of it.
    """
    instrument = order.instrument.id
    read_ns = state.accounts_read.get(instrument.venue)
    if read_ns is None or state.elapsed_at(read_ns) <= sent_ns:
        return False
    held = state.unexplained.get(instrument)
    return held is None or held == state.path.unexplained.get(order.client_order_id)


def _read_account(state: State, venue: str, sent_ns: int) -> None:
    """Have the account read, unless it was asked for since the request left and a moment ago."""
    asked_ns = state.path.reads.get(venue)
    if asked_ns is None or asked_ns <= sent_ns or state.elapsed_ns - asked_ns >= READ_AGAIN_NS:
        state.path.reads[venue] = state.elapsed_ns
        state.command(ReadAccount(venue))
