"""Whether a venue nets long and short of a linear instrument or keeps both (hedge mode).

Which it is, the first account report of a process tells. One that tells otherwise later means that
somebody switched it under us: our orders would name legs that are not there, so entries wait until
it is switched back or the service starts anew. What is open is guarded as before.
"""

from engine.core.others import forget_linear
from engine.core.state import State
from engine.model.events import AccountReported
from engine.model.instrument import Instrument, Market

_NAMES = {True: "hedge mode", False: "one-way mode"}


def note_mode(state: State, event: AccountReported) -> None:
    """Take the mode that a report tells; what is counted as not ours begins anew with it."""
    accounts, venue = state.accounts, event.venue
    first = accounts.modes.setdefault(venue, event.hedged)
    if event.hedged is (venue in accounts.hedged):
        return
    (accounts.hedged.add if event.hedged else accounts.hedged.discard)(venue)
    forget_linear(state, venue)
    if event.hedged is not first:
        state.tell("venue.mode_changed", venue=venue, was=_NAMES[first], now=_NAMES[not first])
    elif venue in accounts.mode_changed:
        state.tell("venue.mode_restored", venue=venue, now=_NAMES[first])
    (accounts.mode_changed.discard if event.hedged is first else accounts.mode_changed.add)(venue)


def mode_refusal(state: State, instrument: Instrument) -> str | None:
    """Why entries wait for the mode that the venue had at the start; None when they do not."""
    venue = instrument.id.venue
    if instrument.id.market is Market.SPOT or venue not in state.accounts.mode_changed:
        return None
    first = state.accounts.modes[venue]
    return (
        f"position_mode: {venue} was switched to {_NAMES[not first]} while we run; switch it back"
        f" to {_NAMES[first]}, or start the service again when nothing is open there"
    )
