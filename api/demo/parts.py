"""The two parts of the demo: a paper account, then the exchanges' own client libraries.

Both play on one exchange simulator with the same scripted prices. In the first the service trades
with its paper account; in the second it trades with the simulator through pybit and python-binance,
signed and over sockets, as it would with the exchanges.
"""

from msgspec import Struct

from api.demo import plan
from api.demo.plan import PlannedSignal


class Part(Struct, frozen=True):
    """One service's life in the demo.

    Attributes:
        data: its folder, in the demo's.
        record: the venues' record, in ``data``.
        signals: sent at its start.
        by_hand: key of the signal whose position is closed by REST.
        by_signal: a signal that closes another's position.
        wide: keys of the signals whose positions scripted prices close.
        plays: whether playback closes positions too, and the service is killed and restarted.
    """

    name: str
    data: str
    record: str
    signals: tuple[PlannedSignal, ...]
    by_hand: str
    by_signal: PlannedSignal
    wide: frozenset[str]
    plays: bool
    log: str = "service.log"

    @property
    def planned(self) -> dict[str, PlannedSignal]:
        """Every signal of the part by its key."""
        return {signal.key: signal for signal in (*self.signals, self.by_signal)}


PAPER = Part(
    name="paper",
    data="data",
    record="paper.sqlite",
    signals=plan.SIGNALS,
    by_hand=plan.BY_HAND,
    by_signal=plan.BY_SIGNAL,
    wide=frozenset(signal.key for signal in plan.WIDE),
    plays=True,
)
WIRE = Part(
    name="wire",
    data="data-wire",
    record="wire.sqlite",
    signals=plan.WIRE,
    by_hand=plan.WIRE_BY_HAND,
    by_signal=plan.WIRE_BY_SIGNAL,
    wide=frozenset(signal.key for signal in plan.WIRE),
    plays=False,
    log="service-wire.log",
)
PARTS = (PAPER, WIRE)
