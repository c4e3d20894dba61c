"""What is remembered of orders on their way, besides the orders.

Times are elapsed nanoseconds, as all deadlines of the state are.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import Struct

from engine.model.order import Refusal


class Retry(Struct, frozen=True):
    """When an exit that was refused is tried again, and how often it was refused in a row.

    Attributes:
        refusal: why the last one was refused; refused_ns: when.
        generation: last exit that was sent by then: refusals of those before it are of one round.
        answered: whether what was asked for because of it has come, and was acted on.
    """

    due_ns: int
    refusals: int
    refusal: Refusal = Refusal.OTHER
    refused_ns: int = 0
    generation: int = -1
    answered: bool = False


class Asking(Struct, frozen=True):
    """When an order in flight is asked for, and how long the pause after that is."""

    due_ns: int
    pause_ns: int


class Misses(Struct, frozen=True):
    """How many look-ups in a row did not find an order, at least a second apart."""

    count: int
    last_ns: int


class Doubt(Struct, frozen=True):
    """Since when the outcome of an order is not known, and whether the owner knows that."""

    since_ns: int
    told: bool = False


class Postponed(Struct, frozen=True):
    """A request that the venue did not take.

    Attributes:
        times: how often in a row.
        due_ns: when it is sent again; None when it was.
        resent_ns: when it was sent again last.
    """

    times: int
    due_ns: int | None
    resent_ns: int = 0


@dataclass(slots=True)
class OrderPath:
    """What is remembered of orders on their way, by client order id.

    Attributes:
        unexplained: what the venue held when the request left, where that was not explained.
        paused: by venue; until when it takes no requests of ours.
        reads: by venue; when its account was last asked for because of an order.
    """

    misses: dict[str, Misses] = field(default_factory=dict)
    doubts: dict[str, Doubt] = field(default_factory=dict)
    postponed: dict[str, Postponed] = field(default_factory=dict)
    unexplained: dict[str, Decimal] = field(default_factory=dict)
    paused: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)

    def waits(self, client_order_id: str) -> bool:
        """Tell whether a request is known not to be at the venue, and is to be sent later."""
        postponed = self.postponed.get(client_order_id)
        return postponed is not None and postponed.due_ns is not None

    def forget(self, client_order_id: str) -> None:
        """An order came to its end."""
        self.misses.pop(client_order_id, None)
        self.unexplained.pop(client_order_id, None)
        self.doubts.pop(client_order_id, None)
        self.postponed.pop(client_order_id, None)
