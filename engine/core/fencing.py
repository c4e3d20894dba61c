"""What a holder past its lease may still do (DESIGN.md 2.14)."""

from engine.core.state import State
from engine.model.events import LeaseChanged


def on_lease_changed(state: State, event: LeaseChanged) -> None:
    """Past the lease nothing is sent that was not looked up before."""
    state.fenced = not event.held
