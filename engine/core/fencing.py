"""What a holder past its lease may still do (DESIGN.md 2.14)."""

from engine.core.asking import look_up_first
from engine.core.state import State
from engine.model.events import LeaseChanged


def on_lease_changed(state: State, event: LeaseChanged) -> None:
    """Past the lease nothing is sent that was not looked up before.

    A close that was decided when the lease had run out already, and that was not sent for this
    reason, is looked up now: it goes when it proves absent.
    """
    if state.fenced is event.held:
        state.fenced = not event.held
        kind = "guard.fenced" if state.fenced else "guard.unfenced"
        state.tell(kind)
    for key in event.withheld:
        order = state.orders.get(key)
        if order is not None:
            look_up_first(state, order)
