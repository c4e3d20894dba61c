"""Many seeds' outcomes as one report."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from engine.simulation.catalogue import EDGE_NAMES, FAULT_KINDS, zero_rows
from engine.simulation.catalogue_rows import INVARIANTS
from engine.simulation.outcome import Outcome

MAX_FAILURES = 20


class Failure(Struct, frozen=True):
    """A seed that broke an invariant; ``rerun`` is the command that shows it again."""

    seed: int
    invariant: str
    message: str
    rerun: str


class Report(Struct, frozen=True):
    """What many seeds came to, in the shape of CONTRACT.md section 2.

    Attributes:
        violations: how many invariants were broken, all seeds together.
        faults, edges, crash_points: how often each struck, was taken, was hit.
        invariants: how many subjects each was judged of.
        trace_hash: SHA-256 (hex) over the seeds' own, in their order.
        failures: the first ones.
    """

    seeds: int
    first_seed: int
    violations: int
    crashes: int
    faults: dict[str, int]
    edges: dict[str, int]
    invariants: dict[str, int]
    seeds_per_second: float
    trace_hash: str
    events: int
    crash_points: dict[str, int]
    failures: tuple[Failure, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return dict(msgspec.to_builtins(self))


def rerun_of(seed: int, sabotage: str | None = None) -> str:
    """Return the command that replays one seed and prints its story."""
    spoiled = "" if sabotage is None else f" --sabotage {sabotage}"
    return f"tickguard simulate --first {seed} --seeds 1 --trace{spoiled}"


class Tally:
    """Adds outcomes up, in the order of their seeds. ``sabotage`` was on in all of them."""

    def __init__(self, first_seed: int, sabotage: str | None = None) -> None:
        self.first_seed = first_seed
        self.sabotage = sabotage
        self.seeds = 0
        self.violations = 0
        self.crashes = 0
        self.events = 0
        self.failures: list[Failure] = []
        self._checks: Counter[str] = Counter()
        self._struck: Counter[str] = Counter()
        self._edges: Counter[str] = Counter()
        self._crash_points: Counter[str] = Counter()
        self._hash = hashlib.sha256()

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of the next seed."""
        self.seeds += 1
        self.violations += len(outcome.violations)
        self.crashes += outcome.crashes
        self.events += outcome.events
        self._checks.update(outcome.checks)
        self._struck.update(outcome.struck)
        self._edges.update(outcome.edges)
        self._crash_points.update(outcome.crash_points)
        self._hash.update(bytes.fromhex(outcome.trace_hash))
        rerun = rerun_of(outcome.seed, self.sabotage)
        for broken in outcome.violations[: MAX_FAILURES - len(self.failures)]:
            self.failures.append(Failure(outcome.seed, broken.invariant, broken.message, rerun))

    def report(self, seconds: float) -> Report:
        """Return the report of what was added within so many seconds."""
        checks = [name for row in INVARIANTS for name in row.checks]
        return Report(
            seeds=self.seeds,
            first_seed=self.first_seed,
            violations=self.violations,
            crashes=self.crashes,
            faults=zero_rows(FAULT_KINDS, self._struck),
            edges=zero_rows(EDGE_NAMES, self._edges),
            invariants=zero_rows(checks, self._checks),
            seeds_per_second=round(self.seeds / seconds, 2) if seconds > 0 else 0.0,
            trace_hash=self._hash.hexdigest(),
            events=self.events,
            crash_points=dict(sorted(self._crash_points.items())),
            failures=tuple(self.failures),
        )


def report_lines(report: Report) -> list[str]:
    """Write a report for people."""
    lines = [
        f"{report.seeds} seeds from {report.first_seed}: {report.violations} violations,"
        f" {report.crashes} crashes, {report.events} events,"
        f" {report.seeds_per_second:g} seeds a second",
        f"trace hash {report.trace_hash}",
    ]
    lines += _section("faults that struck", report.faults)
    lines += _section("checks with a subject", report.invariants)
    lines += _section("steps of life cycles", report.edges)
    lines += _section("killed", report.crash_points)
    for failure in report.failures:
        lines.append(f"FAILED seed {failure.seed}, {failure.invariant}: {failure.message}")
        lines.append(f"  {failure.rerun}")
    return lines


def _section(title: str, counts: Mapping[str, int]) -> Iterable[str]:
    width = max(map(len, counts), default=0)
    yield f"{title}:"
    for name, count in counts.items():
        yield f"  {name:{width}}  {count}"
