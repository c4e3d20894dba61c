"""Whether the exits that a signal asks for can hold together, with the defaults for the rest.

Before a price is known only what contradicts itself is seen. The guardian judges the same set again
with the price, when it admits the entry.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from api.problems import FieldError, unprocessable
from api.webhook.close_at import next_time_of_day
from engine.core.admission import exits_of, side_of
from engine.core.state import GuardConfig
from engine.model.exit_checks import ExitProblem, Situation, exit_problems, orphans
from engine.model.exit_set import ExitChanges
from engine.model.exits import Disarmed
from engine.model.instrument import Market
from engine.model.signal import Action, Signal, SizeKind
from engine.settings import Settings, exit_setting

_WITH_UNIT = {"max_hold_seconds": "max_hold_ns", "close_at": "close_at_ns"}


def with_default_close(signal: Signal, settings: Settings) -> Signal:
    """Let an entry that says nothing of ``close_at`` be closed at the owner's time of day."""
    if settings.close_at is None or signal.exits.close_at_ns is not None or not _opens(signal):
        return signal
    at_ns = next_time_of_day(settings.close_at, settings.timezone, signal.received_at_ns)
    return replace(signal, exits=replace(signal.exits, close_at_ns=at_ns))


def check_exits(signal: Signal, config: GuardConfig) -> None:
    """Refuse exits of an entry that cannot hold together, or could never be reached.

    What is wrong with the defaults alone was told at start and is not the sender's to mend. Exits
    on a signal that only closes mean nothing and are left alone.

    Raises:
        Problem: 422 with every field and its remedy.
    """
    if not _opens(signal):
        return
    asked = signal.exits
    errors = [
        FieldError(found.field, found.remedy + origin(found.field, asked))
        for found in _problems(signal, config)
    ]
    needs_stop = signal.size is not None and signal.size.kind is SizeKind.RISK_PERCENT
    if needs_stop and isinstance(asked.stop_loss, Disarmed):
        errors.append(FieldError("risk_percent", "it needs a stop-loss; do not disarm it"))
    if errors:
        raise unprocessable(errors)


def _opens(signal: Signal) -> bool:
    """Tell whether a signal may open a position: a sell on spot only closes."""
    on_spot = signal.instrument.id.market is Market.SPOT
    return signal.action is Action.BUY or (signal.action is Action.SELL and not on_spot)


def _problems(signal: Signal, config: GuardConfig) -> Iterator[ExitProblem]:
    asked, exits = signal.exits, exits_of(signal.exits, config)
    at_ns, instrument = signal.received_at_ns, signal.instrument.id
    by_default = Situation(side_of(signal), instrument, config.trigger, at_ns)
    now = replace(by_default, trigger=asked.trigger or config.trigger)
    known = exit_problems(config.exits, by_default)
    yield from (found for found in exit_problems(exits, now) if found not in known)
    yield from orphans(exits, asked)


def origin(field: str, asked: ExitChanges) -> str:
    """Name the setting that a rule comes from, where the sender does not mention it."""
    name = _WITH_UNIT.get(field, field.removesuffix("_percent"))
    if getattr(asked, name) is not None:
        return ""
    return f" (it is the default {exit_setting(field).upper()}; give another, or null for none)"
