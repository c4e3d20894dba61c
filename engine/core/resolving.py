"""What a position waits for after a start, until the venue has said what became of its orders."""

from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import Struct

from engine.model.exits import ExitReason
from engine.model.order import Order


class Trigger(Struct, frozen=True):
    """A limit that a price reached."""

    reason: ExitReason
    price: Decimal
    received_ns: int


@dataclass(slots=True)
class Resolving:
    """What a position waits for after a start before it is armed.

    Attributes:
        asked: orders asked for and not answered yet, by client order id.
        known: ids of those that are in the ledger or were found.
        absent: exits that the venue does not have; what follows is decided when all is answered.
        exits_asked: whether the exits were asked for; the entry is asked for before them.
        due_ns, since_ns, heard_ns: elapsed time at which it is asked again, since when it is asked,
            and of the last answer.
        told: whether the owner knows that it is not resolved.
        reached: the farthest price that reached a rung of the ladder meanwhile.
        latest: generation of the last exit that was found; the position gets it when all before it
            are accounted for, so that another start asks for those too.
        parts: quantities of exits that were found and closed a part, but none of a ladder.
    """

    since_ns: int
    due_ns: int
    heard_ns: int
    asked: dict[str, Order] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    absent: list[str] = field(default_factory=list)
    exits_asked: bool = False
    told: bool = False
    reached: Trigger | None = None
    latest: int = -1
    parts: list[Decimal] = field(default_factory=list)
