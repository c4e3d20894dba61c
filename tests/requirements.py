"""What some tests need from the machine: where it is looked for, and what to do without it.

A test that needs one of these is skipped by name where it is missing, and fails instead when
TICKGUARD_REQUIRE (names with commas between) lists it. ``.ci/run`` looks for recordings and
browsers in the same places; tests/test_requirements.py holds the two together.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BROWSER_COMMANDS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
BROWSER_FILES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# Below a directory of browsers kept by Playwright; Linux, then macOS.
BROWSER_PATTERNS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)
POSTGRES_PATTERNS = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look: the environment, and the directory that relative paths start from."""

    environ: Mapping[str, str]
    root: Path

    def command(self, name: str) -> Path | None:
        found = shutil.which(name, path=self.environ.get("PATH", ""))
        return Path(found) if found else None


def find_recordings(machine: Machine) -> Path | None:
    """The directory of recorded venue streams; an empty TICKGUARD_RECORDED is unset."""
    named = machine.environ.get("TICKGUARD_RECORDED") or "../shared/recorded"
    directory = machine.root / named
    return directory.resolve() if directory.is_dir() else None


def find_chromium(machine: Machine) -> Path | None:
    """A browser of the Chromium family."""
    home = Path(machine.environ.get("HOME") or "/nonexistent")
    kept = machine.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    stores = (
        (machine.root / kept,)
        if kept
        else (home / ".cache/ms-playwright", home / "Library/Caches/ms-playwright")
    )
    candidates: Iterable[Path | None] = (
        *map(machine.command, BROWSER_COMMANDS),
        *map(Path, BROWSER_FILES),
        *(path for s in stores for p in BROWSER_PATTERNS for path in sorted(s.glob(p))),
    )
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def find_postgres(machine: Machine) -> Path | None:
    """The directory of a PostgreSQL server's programs."""
    candidates = [
        program.parent for name in ("postgres", "initdb") if (program := machine.command(name))
    ]
    for pattern in POSTGRES_PATTERNS:
        candidates += sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True)
    for directory in candidates:
        if all((directory / name).exists() for name in ("initdb", "postgres")):
            return directory
    return None


def find_root(machine: Machine) -> Path | None:
    """The root directory, when this process may do everything."""
    return Path("/") if os.geteuid() == 0 else None


FINDERS: Mapping[str, Callable[[Machine], Path | None]] = {
    "recordings": find_recordings,
    "chromium": find_chromium,
    "postgres": find_postgres,
    "root": find_root,
}
REMEDIES: Mapping[str, str] = {
    "recordings": "no directory ../shared/recorded; name another one in TICKGUARD_RECORDED",
    "chromium": "no browser of the Chromium family; install one",
    "postgres": "no PostgreSQL server's programs; install the package",
    "root": "this process does not run as root",
}


class Requirements:
    """Answers once a name what the machine holds, and whether missing it is a failure.

    Raises:
        ValueError: TICKGUARD_REQUIRE holds a name nobody knows.
    """

    def __init__(
        self,
        machine: Machine,
        finders: Mapping[str, Callable[[Machine], Path | None]] = FINDERS,
    ) -> None:
        self._machine = machine
        self._finders = finders
        self._found: dict[str, Path | None] = {}
        text = machine.environ.get("TICKGUARD_REQUIRE", "")
        self.required = frozenset(name.strip() for name in text.split(",") if name.strip())
        if unknown := self.required - finders.keys():
            raise ValueError(
                f"TICKGUARD_REQUIRE holds {', '.join(sorted(unknown))}; "
                f"known are {', '.join(finders)}"
            )

    @property
    def names(self) -> Iterable[str]:
        return self._finders.keys()

    def find(self, name: str) -> Path | None:
        if name not in self._found:
            self._found[name] = self._finders[name](self._machine)
        return self._found[name]

    def missing(self, name: str) -> str | None:
        """Why the tests that need ``name`` cannot run; None when they can."""
        return None if self.find(name) else f"{name}: {REMEDIES.get(name, 'not found')}"
