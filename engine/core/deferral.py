"""Requests that a venue did not take: they keep their id and are sent again after a pause."""

from engine.core.state import State
from engine.model.events import InstrumentRefreshed, OrderDeferred


def on_order_deferred(state: State, event: OrderDeferred) -> None:
    """The venue did not take a request: note when it may be sent again."""


def on_instrument_refreshed(state: State, event: InstrumentRefreshed) -> None:
    """Positions of an instrument go by its new filters; exits that were refused are tried again."""


def resend_deferred(state: State) -> None:
    """Send requests again whose pause is over."""
