"""Prices that did not arrive when they were made (DESIGN.md 2.9), and prices while none arrive."""

from engine.core.state import State
from engine.model.events import PricesMissed


def on_prices_missed(state: State, event: PricesMissed) -> None:
    """Take what traded in a gap."""


def ask_while_blind(state: State) -> None:
    """Have the venue asked each second for prices that do not arrive."""
