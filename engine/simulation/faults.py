"""Which faults are about to strike, and a record of those that did."""

from collections.abc import Callable, Iterable

from engine.clock import NS_PER_MS
from engine.model.instrument import InstrumentId
from engine.simulation.history import History, Struck
from engine.simulation.plan import Fault


class Faults:
    """The faults of one lifetime by kind. A fault counts when it has changed something.

    Args:
        now_ns: virtual time.
    """

    def __init__(
        self, faults: Iterable[Fault], history: History, now_ns: Callable[[], int]
    ) -> None:
        self._history = history
        self._now_ns = now_ns
        self._left: dict[str, list[tuple[Fault, int]]] = {}
        for fault in faults:
            self._left.setdefault(fault.kind, []).append((fault, fault.times))

    def heal(self) -> None:
        """Nothing goes wrong from here on."""
        self._left.clear()

    def active(
        self, kind: str, venue: str | None = None, instrument: InstrumentId | None = None
    ) -> Fault | None:
        """Return a fault of a kind that is on now, without using it up."""
        for fault, left in self._left.get(kind, ()):
            if left > 0 and self._is_on(fault) and _concerns(fault, venue, instrument):
                return fault
        return None

    def strike(
        self, kind: str, venue: str | None = None, instrument: InstrumentId | None = None
    ) -> Fault | None:
        """Let a fault of a kind strike if one is on, and write it down."""
        fault = self.active(kind, venue, instrument)
        if fault is not None:
            left = self._left[kind]
            self._left[kind] = [(f, n - 1 if f is fault else n) for f, n in left]
            self.note(fault)
        return fault

    def happened(self, kind: str) -> None:
        """Write down what goes wrong undrawn: it follows from what people and venues do."""
        at_ns = self._now_ns()
        self._history.struck.append(Struck(at_ns, Fault(kind, at_ns // NS_PER_MS, 0)))

    def note(self, fault: Fault) -> None:
        """Write down that a fault has changed something."""
        self._history.struck.append(Struck(self._now_ns(), fault))

    def _is_on(self, fault: Fault) -> bool:
        now_ns = self._now_ns()
        return fault.at_ms * NS_PER_MS <= now_ns < (fault.at_ms + fault.for_ms) * NS_PER_MS


def _concerns(fault: Fault, venue: str | None, instrument: InstrumentId | None) -> bool:
    if fault.instrument is not None and fault.instrument != instrument:
        return False
    return fault.venue is None or venue is None or fault.venue == venue
