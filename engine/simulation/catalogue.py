"""What can go wrong, what must hold all the same, and where each of it is proved.

The numbers and names of faults and invariants are those of the catalogue that Tickguard was
designed against. A fault is *injected* here by kinds of ``plan.Fault``, *standing* (every simulated
lifetime has it), *tested* elsewhere by the tests named, or *owed* to a piece that is not built yet.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from engine.model import order, position

ORDER_KINDS = (
    "drop_req", "late_req", "drop_rsp", "5xx_after", "late_vis", "late_rej",
    "rej_filters", "rej_band", "rej_balance", "rej_other",
    "limit", "overload", "skew", "ban", "outage",
    "drop_evt", "dup_evt", "late_evt", "err_pos", "err_look",
    "partial", "ext", "ext_add", "liq",
)  # fmt: skip
FEED_KINDS = ("mute", "close_1012", "lag", "spike", "delist")
PROCESS_KINDS = ("busy", "enospc", "slow_disk", "lost_commit", "jump", "stall", "twin")
PEOPLE_KINDS = ("dup_post", "late_post", "swap")
"""No faults of a plan, but how its signals are delivered."""

FEE_KINDS = ("fee_base", "fee_third")
"""No faults of a plan either: fees that a venue takes in the base asset, or in a third one."""

NO_ERROR = "no_error"
"""What is broken when the service ends by an error of its own."""

FAULT_KINDS = (*ORDER_KINDS, *FEED_KINDS, *PROCESS_KINDS, *PEOPLE_KINDS, *FEE_KINDS)


Status = TypeVar("Status", bound=StrEnum)


class Piece(StrEnum):
    """A piece of Tickguard that is not whole yet, and owes what it will prove."""

    VENUES = "venues"
    STORAGE = "storage"
    API = "API"
    TELEGRAM = "Telegram"


class FaultRow(Struct, frozen=True):
    """One fault of the catalogue.

    Attributes:
        invariants: numbers of those that it could break.
        kinds: what injects it here.
        standing: why every lifetime has it without being injected.
        tests: ``file::function`` of tests at the wire, of storage or of the API.
        owed, owes: the piece that has still to prove something, and what.
    """

    number: int
    name: str
    invariants: tuple[int, ...]
    kinds: tuple[str, ...] = ()
    standing: str = ""
    tests: tuple[str, ...] = ()
    owed: Piece | None = None
    owes: str = ""


class InvariantRow(Struct, frozen=True):
    """One invariant: what it says, and the names by which its checks are counted."""

    number: int
    says: str
    checks: tuple[str, ...] = ()
    owed: Piece | None = None
    owes: str = ""


class Edge(Struct, frozen=True):
    """A step of a life cycle; ``never`` says why no lifetime can take it, empty where one can."""

    name: str
    never: str = ""


def _steps(name: str, table: Mapping[Status, frozenset[Status]]) -> Iterator[str]:
    for before, following in table.items():
        for after in sorted(following):
            if after is not before:
                yield f"{name}.{before}.{after}"


EDGE_NAMES = (
    *_steps("order", order.TRANSITIONS),
    *_steps("position", position.TRANSITIONS),
)
"""Steps of both life cycles; telling the same again is none."""

_BOOKED_FIRST = "its executions are booked first, and then it is partly filled"
_SENT_FIRST = "the request is told as sent before anything else can become of it"
NEVER = {
    "order.intended.filled": _BOOKED_FIRST,
    "order.sent.filled": _BOOKED_FIRST,
    "order.acknowledged.filled": _BOOKED_FIRST,
    "order.intended.unknown": _SENT_FIRST,
    "order.partially_filled.rejected": "the venue cancels what is left of an order, and refuses "
    "only whole ones",
}
"""Steps that the tables allow, since a venue's words may overtake each other, and none can take."""

EDGES = tuple(Edge(name, NEVER.get(name, "")) for name in EDGE_NAMES)


def zero_rows(names: Iterable[str], counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts by name, with a zero for each name that was never counted."""
    return {name: counts.get(name, 0) for name in dict.fromkeys([*names, *sorted(counts)])}


def proofs(row: FaultRow) -> list[str]:
    """Say in words where a fault is proved."""
    said = []
    if row.kinds:
        said.append("injected: " + ", ".join(f"`{kind}`" for kind in row.kinds))
    if row.standing:
        said.append(f"in every lifetime: {row.standing}")
    said += [f"tested: `{test}`" for test in row.tests]
    if row.owed is not None:
        said.append(f"owed by {row.owed}: {row.owes}")
    return said


def as_markdown(
    faults: Sequence[FaultRow], invariants: Sequence[InvariantRow], edges: Sequence[Edge] = EDGES
) -> str:
    """Write the tables that stand in ``docs/simulation.md`` between the marks."""
    lines = ["### Faults", "", "|#|Fault|Invariants|Proved|", "|-|-|-|-|"]
    for row in faults:
        numbers = ", ".join(map(str, row.invariants)) or "all"
        lines.append(f"|{row.number}|{row.name}|{numbers}|{'<br>'.join(proofs(row))}|")
    lines += ["", "### Invariants", "", "|#|Invariant|Counted as|", "|-|-|-|"]
    for each in invariants:
        counted = [f"`{name}`" for name in each.checks]
        if each.owed is not None:
            counted.append(f"owed by {each.owed}: {each.owes}")
        lines.append(f"|{each.number}|{each.says}|{'<br>'.join(counted)}|")
    lines += ["", "### Life cycles", "", "|Step|Never taken, because|", "|-|-|"]
    lines += [f"|`{edge.name}`|{edge.never}|" for edge in edges]
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def with_tables(document: str, tables: str) -> str:
    """Return a document with the tables between its marks.

    Raises:
        ValueError: it has no marks.
    """
    before, found, rest = document.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the document has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"
