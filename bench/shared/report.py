"""How a bench reports: rows, ratios against targets, one JSON object or lines."""

import faulthandler
import logging
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec
import structlog
from msgspec import Struct

LIMIT_S = 540.0
"""A bench that takes longer hangs: it is ended, with where its threads stood."""


NOT_INSTALLED = "not installed"
"""What a row says in place of a peer's figures, where there is no peer (``make peers``)."""


class BenchFailed(Exception):
    """A bench could not measure; the text says why."""


class Report(Struct, frozen=True):
    """One bench's result; ``targets`` are least values of ratios, or greatest for ``ceilings``.

    A ratio is None where the other side is not installed: its target is then missed, not met.
    """

    bench: str
    rows: list[dict[str, Any]]
    ratios: dict[str, float | None]
    targets: dict[str, float]
    ceilings: frozenset[str] = frozenset()

    @property
    def missed(self) -> list[str]:
        """Names of the ratios that miss their target."""
        return [name for name, target in self.targets.items() if not self._holds(name, target)]

    def _holds(self, name: str, target: float) -> bool:
        value = self.ratios[name]
        if value is None:
            return False
        return value <= target if name in self.ceilings else value >= target

    def as_json(self) -> dict[str, Any]:
        return {
            "bench": self.bench,
            "rows": self.rows,
            "ratios": {
                name: None if value is None else round(value, 4)
                for name, value in self.ratios.items()
            },
            "targets": self.targets,
            "ok": not self.missed,
        }

    def as_lines(self) -> list[str]:
        lines = ["  ".join(f"{name}={_plain(row[name])}" for name in row) for row in self.rows]
        for name, value in self.ratios.items():
            line = f"{name}: {NOT_INSTALLED if value is None else format(value, '.3f')}"
            if name in self.targets:
                sign = "<=" if name in self.ceilings else ">="
                verdict = "MISSED" if name in self.missed else "ok"
                line += f"  (target {sign} {self.targets[name]:g}: {verdict})"
            lines.append(line)
        return lines


def _plain(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return "{median:g} ({min:g}..{max:g})".format(**value)


def spread(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Median with the smallest and the largest round."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def ratios_of(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Ratios of the pairs that were measured in the same round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def finish(measure: Callable[[], Report]) -> NoReturn:
    """Run a bench as a program: JSON with ``--json``, else lines; exit 1 on a missed target."""
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    logging.disable(logging.WARNING)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        report = measure()
    except BenchFailed as error:
        sys.exit(f"error: {error}")
    if "--json" in sys.argv[1:]:
        print(msgspec.json.encode(report.as_json()).decode())
    else:
        print("\n".join(report.as_lines()))
    sys.exit(1 if report.missed else 0)
