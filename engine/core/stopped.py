"""Venues that take no requests of ours until the owner acts: a key, a permission, an address."""

from engine.core.state import State
from engine.model.events import TradingResumed, TradingStopped


def on_trading_stopped(state: State, event: TradingStopped) -> None:
    """Entries there wait from now on, and the owner is told what to do; exits are still tried."""
    known = state.stopped.get(event.venue)
    state.stopped[event.venue] = event.message
    if known != event.message:
        state.tell("venue.stopped", venue=event.venue, message=event.message)


def on_trading_resumed(state: State, event: TradingResumed) -> None:
    """The owner has put it right."""
    if state.stopped.pop(event.venue, None) is not None:
        state.tell("venue.resumed", venue=event.venue)
