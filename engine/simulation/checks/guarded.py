"""One position with all that concerns its closes: its stretches, prices, requests and holdings."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from engine.model.events import SignalReceived
from engine.model.instrument import Instrument
from engine.model.position import Position
from engine.simulation.checks.case import EXIT, ZERO, Case, base_fee, parts_of
from engine.simulation.history import Request
from engine.simulation.oracle.asked import of_signal
from engine.simulation.oracle.prices import Track
from engine.simulation.oracle.stretches import Stretch, fee_of, is_entry, sign_of, stretches_of
from engine.simulation.plan import EPOCH_NS


@dataclass(slots=True)
class Guarded:
    """A position under judgement.

    ``holdings`` are what was truly held after each change: (virtual ns, base quantity).
    """

    case: Case
    position: Position
    sign: int
    fee: Decimal
    stretches: list[Stretch]
    exits: list[Request]
    holdings: list[tuple[int, Decimal]]

    @property
    def instrument(self) -> Instrument:
        """What it holds."""
        return self.position.instrument

    def told_prices(self, stretch: Stretch) -> Track:
        """Every price of the channel in use that the process was told."""
        return self.case.track(stretch.life, self.position, stretch.asked.trigger, sure=False)

    def compared_prices(self, stretch: Stretch) -> Track:
        """Those, and the ones by REST that took their place while the stream was lost."""
        return self.case.compared(stretch.life, self.position, stretch.asked.trigger)

    def sure_prices(self, stretch: Stretch) -> Track:
        """Those of them that it must have believed."""
        return self.case.track(stretch.life, self.position, stretch.asked.trigger, sure=True)

    def held(self, at_ns: int) -> Decimal:
        """What the venue truly held for it at a moment."""
        found = ZERO
        for moment_ns, qty in self.holdings:
            if moment_ns > at_ns:
                break
            found = qty
        return found


def watch_all(case: Case) -> Iterator[Guarded]:
    """Lay out every position that ever held something."""
    born = _births(case)
    for position in case.facts.positions:
        fills = case.executions.get(position.id)
        signal = case.signals.get(position.signal_id or "")
        if fills is None or signal is None:
            continue
        asked = of_signal(case.plan.exits, signal.exits.trigger or case.plan.trigger, signal.exits)
        stretches = stretches_of(
            position,
            asked,
            fills,
            case.history.told,
            case.told_of.get(position.id, ()),
            case.starts,
            born.get(signal.id, 0),
        )
        exits = [
            request
            for request in case.requests_of.get(position.id, ())
            if (parts_of(request.order.client_order_id) or "  ")[1] == EXIT
        ]
        entries = [fill for fill in fills if is_entry(fill)]
        yield Guarded(
            case,
            position,
            sign_of(position.side),
            fee_of(position.instrument, entries),
            list(stretches),
            exits,
            _holdings(case, position),
        )


def _births(case: Case) -> dict[str, int]:
    """By signal: the life that was told of it first."""
    found: dict[str, int] = {}
    for place in case.signals_told:
        told = case.history.told[place]
        if isinstance(told.event, SignalReceived):
            found.setdefault(told.event.signal.id, told.life)
    return found


def _holdings(case: Case, position: Position) -> list[tuple[int, Decimal]]:
    changes = []
    for fill in case.executions.get(position.id, ()):
        change = fill.qty - base_fee(fill) if is_entry(fill) else -fill.qty
        changes.append((fill.time_ns - EPOCH_NS, change))
    foreign = case.foreign_of.get(position.id, ())
    changes += [(fill.time_ns - EPOCH_NS, -fill.qty) for fill in foreign]
    changes.sort(key=lambda change: change[0])
    found, held = [], ZERO
    for at_ns, change in changes:
        held += change
        found.append((at_ns, held))
    return found
