"""What the venue holds against what our books say (DESIGN.md 2.7)."""

from engine.core.state import State
from engine.model.events import AccountReported, AccountResumed


def on_account_reported(state: State, event: AccountReported) -> None:
    """Compare a report with our books."""
    state.accounts_read[event.venue] = event.as_of_ns


def on_account_resumed(state: State, event: AccountResumed) -> None:
    """Account events may have been missed: read the account, and ask for what is in flight."""


def read_due(state: State) -> None:
    """Have the accounts read whose time has come."""
