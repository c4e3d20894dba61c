"""How a bench reports: rows, ratios against targets, one JSON object or a table."""

import statistics
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct


class Report(Struct, frozen=True):
    """One bench's result; ``targets`` are least values of ratios, ``ceilings`` greatest ones."""

    bench: str
    rows: list[dict[str, Any]]
    ratios: dict[str, float]
    targets: dict[str, float]
    ceilings: frozenset[str] = frozenset()

    @property
    def missed(self) -> list[str]:
        """Names of the ratios that miss their target."""
        return [name for name, target in self.targets.items() if not self._holds(name, target)]

    def _holds(self, name: str, target: float) -> bool:
        value = self.ratios[name]
        return value <= target if name in self.ceilings else value >= target

    def as_json(self) -> dict[str, Any]:
        return {
            "bench": self.bench,
            "rows": self.rows,
            "ratios": {name: round(value, 4) for name, value in self.ratios.items()},
            "targets": self.targets,
            "ok": not self.missed,
        }


def spread(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Median with the smallest and the largest round."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def finish(report: Report) -> None:
    """Print a report as JSON (with ``--json``) or as lines, and exit 1 on a missed target."""
    if "--json" in sys.argv:
        print(msgspec.json.encode(report.as_json()).decode())
    else:
        for row in report.rows:
            print("  ".join(f"{name}={value}" for name, value in row.items()))
        for name, value in report.ratios.items():
            target = report.targets.get(name)
            sign = "<=" if name in report.ceilings else ">="
            goal = "" if target is None else f"  (target {sign} {target})"
            mark = "MISSED " if name in report.missed else ""
            print(f"{mark}{name}: {value:.3f}{goal}")
    sys.exit(1 if report.missed else 0)
