"""The coverage gate: fails the session when a package is covered less than its floor.

It runs inside the session, after pytest-cov has combined what the workers and subprocesses
measured, so pytest's closing line stays the last one. Lines and branches count alike; a package
that does not exist yet, or holds no statement, is not judged.
"""

import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

import pytest
from coverage import Coverage

STRICT = frozenset({"engine/model", "engine/core"})
STRICT_PERCENT = 100
PERCENT = 90
MAX_FILES_SHOWN = 30


class FileSummary(TypedDict):
    covered_lines: int
    num_statements: int
    covered_branches: int
    num_branches: int


class FileReport(TypedDict):
    """One file of coverage's JSON report; a branch to a negative line leaves the function."""

    summary: FileSummary
    missing_lines: list[int]
    missing_branches: list[list[int]]


@dataclass(slots=True)
class Package:
    name: str
    covered: int = 0
    total: int = 0
    gaps: list[str] = field(default_factory=list)

    @property
    def floor_percent(self) -> int:
        return STRICT_PERCENT if self.name in STRICT else PERCENT

    @property
    def holds(self) -> bool:
        """Compared in whole numbers: 99.99 % is not 100 %."""
        return 100 * self.covered >= self.floor_percent * self.total

    def __str__(self) -> str:
        percent = 10_000 * self.covered // self.total / 100
        verdict = "ok" if self.holds else "TOO LOW"
        return f"{self.name:<24} {percent:6.2f} %  at least {self.floor_percent:>3} %  {verdict}"


def packages_of(path: str) -> tuple[str, ...]:
    """The packages a file counts for: its top-level one and, in the engine, the one below."""
    parts = PurePath(path).parts
    if parts[0] == "engine" and len(parts) > 2:
        return parts[0], f"{parts[0]}/{parts[1]}"
    return (parts[0],)


def judge(files: Mapping[str, FileReport]) -> list[Package]:
    """Every package of the report that holds statements, by name."""
    packages: dict[str, Package] = {}
    for path, report in sorted(files.items()):
        summary = report["summary"]
        for name in packages_of(path):
            package = packages.setdefault(name, Package(name))
            package.covered += summary["covered_lines"] + summary["covered_branches"]
            package.total += summary["num_statements"] + summary["num_branches"]
            if report["missing_lines"] or report["missing_branches"]:
                package.gaps.append(f"{path}: {', '.join(_gaps(report))}")
    return sorted((p for p in packages.values() if p.total), key=lambda package: package.name)


def _gaps(report: FileReport) -> Iterator[str]:
    lines = report["missing_lines"]
    start = None
    for line, following in pairwise([*lines, 0]):
        start = line if start is None else start
        if following != line + 1:
            yield str(line) if start == line else f"{start}-{line}"
            start = None
    for origin, target in report["missing_branches"]:
        if origin not in lines and target not in lines:  # a line never reached is told already
            yield f"{origin}->{'exit' if target < 0 else target}"


def lines_of(packages: list[Package]) -> Iterator[str]:
    """The section as it is printed: every package, then where the failing ones have gaps."""
    yield from map(str, packages)
    gaps = dict.fromkeys(gap for package in packages if not package.holds for gap in package.gaps)
    yield from list(gaps)[:MAX_FILES_SHOWN]
    if len(gaps) > MAX_FILES_SHOWN:
        yield f"... and {len(gaps) - MAX_FILES_SHOWN} more files"


def measured(root: Path) -> dict[str, FileReport]:
    """What pytest-cov left in the data file, by path relative to ``root``.

    Empty when nothing was measured, or lines without branches.
    """
    coverage = Coverage(config_file=str(root / "pyproject.toml"))
    coverage.load()
    if not coverage.get_data().has_arcs():
        return {}
    with TemporaryDirectory() as directory:
        outfile = Path(directory, "coverage.json")
        coverage.json_report(outfile=str(outfile))
        files: dict[str, Any] = json.loads(outfile.read_text(encoding="utf-8"))["files"]
    return files


class CoverageGate:
    """The plugin; only the process that combines the data registers it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._packages: list[Package] | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside pytest-cov, which combines in here
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        result = yield
        if session.config.option.collectonly:
            return result
        self._packages = judge(measured(self._root))
        if not self._packages or not all(package.holds for package in self._packages):
            session.testsfailed += 1  # the session's exit status follows
        return result

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._packages is None:
            return
        good = bool(self._packages) and all(package.holds for package in self._packages)
        title = "coverage gate" if good else "coverage gate FAILED"
        terminalreporter.section(title, green=good, red=not good)
        for line in lines_of(self._packages) if self._packages else ["nothing was measured"]:
            terminalreporter.write_line(line)
