"""What became of one seed: small, plain, and able to travel between processes."""

from msgspec import Struct


class Broken(Struct, frozen=True):
    """An invariant that did not hold; ``invariant`` is its name in the catalogue."""

    invariant: str
    message: str
    at_ns: int = 0
    """Virtual time at which it was broken; 0 where it has none."""


class Outcome(Struct, frozen=True):
    """One seed's run, judged.

    Attributes:
        checks: how many subjects each invariant had, by its name.
        struck: how often a fault of each kind changed what the guardian received.
        edges: how often each life cycle went from one state to another.
        crash_points: how often a process was killed at an effect of each kind.
        crashes: processes that were killed.
        events: how many events the guardian was given.
        trace_hash: SHA-256 (hex) over everything that happened, in order.
    """

    seed: int
    trace_hash: str
    violations: tuple[Broken, ...] = ()
    checks: dict[str, int] = {}
    struck: dict[str, int] = {}
    edges: dict[str, int] = {}
    crash_points: dict[str, int] = {}
    crashes: int = 0
    events: int = 0
