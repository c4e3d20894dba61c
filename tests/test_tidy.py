"""Style that no linter keeps, over every tracked file; then the checks themselves on bad examples.

A line that ends in ``# long: reason`` excuses a function (on its ``def``) or a file (among its
first five lines) from the length rules.
"""

import ast
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from tests.requirements import ROOT

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 400
EXCUSE = re.compile(r"# long: \S")

SOURCES = ("engine", "storage", "api")
PURE = ("engine/model", "engine/core")
CLOCK = "engine/clock.py"
SETTINGS = re.compile(r"engine\.settings(_\w+)?")

WALL_CLOCK = {
    *(f"time.{name}" for name in ("time", "time_ns")),
    *(f"datetime.{name}" for name in ("now", "utcnow", "today")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    *("date.today", "datetime.date.today"),
}
IMPURE_MODULES = {"random", "secrets", "time", "uuid"}
IMPURE_CALLS = {"input", "open", "print"}
# Spelled in two parts, since this file is checked like any other.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/" + r"(?:work|home|root)/")
INDEX_HOST = re.compile("py" + r"pi\.org|python" + r"hosted\.org")

Function = ast.FunctionDef | ast.AsyncFunctionDef
SKIPPED = {"__pycache__", "build", "data", "dist", "htmlcov", "node_modules"}


@cache
def tracked() -> tuple[str, ...]:
    """Tracked files by path; without git (a downloaded archive), all but hidden and made ones."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return tuple(sorted(_walk()))
    names = listing.decode().split("\0")
    return tuple(name for name in names if name and (ROOT / name).is_file())


def _walk() -> Iterator[str]:
    for directory, below, files in os.walk(ROOT):
        below[:] = [name for name in below if name not in SKIPPED and not name.startswith(".")]
        for name in files:
            yield (Path(directory) / name).relative_to(ROOT).as_posix()


def within(path: str, *packages: str) -> bool:
    return any(PurePosixPath(path).is_relative_to(package) for package in packages)


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def dotted(node: ast.AST) -> str:
    """``a.b.c`` as written; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def imported(node: ast.AST) -> set[str]:
    """What an import statement names: modules, and the names taken from them."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


def long_functions(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    lines = text.splitlines()
    for node in functions(tree):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MAX_FUNCTION_LINES and not EXCUSE.search(lines[node.lineno - 1]):
            yield f"{path}:{node.lineno} {node.name} has {length} lines"


def long_files(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    lines = text.splitlines()
    if len(lines) > MAX_FILE_LINES and not any(map(EXCUSE.search, lines[:5])):
        yield f"{path} has {len(lines)} lines"


def unannotated_functions(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    if not within(path, *SOURCES):
        return
    methods = {
        id(member)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for member in node.body
        if isinstance(member, Function)
        and not any(dotted(decorator) == "staticmethod" for decorator in member.decorator_list)
    }
    for node in functions(tree):
        positional = [*node.args.posonlyargs, *node.args.args][id(node) in methods :]
        starred = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
        bare = [a.arg for a in (*positional, *node.args.kwonlyargs, *starred) if not a.annotation]
        if bare or not node.returns:
            yield f"{path}:{node.lineno} {node.name} lacks {', '.join(bare) or 'a return type'}"


def wall_clocks(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    if path == CLOCK or not within(path, *SOURCES):
        return
    for node in ast.walk(tree):
        if dotted(node) in WALL_CLOCK or imported(node) & {"time.time", "time.time_ns"}:
            yield f"{path}:{node.lineno} reads the wall clock; {CLOCK} alone does"


def impure_core(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    """What the import contracts cannot see, or see only as a module among others."""
    if not within(path, *PURE):
        return
    for node in ast.walk(tree):
        modules = {name.split(".")[0] for name in imported(node)}
        called = dotted(node.func) if isinstance(node, ast.Call) else ""
        if found := modules & IMPURE_MODULES or {called} & IMPURE_CALLS:
            yield f"{path}:{node.lineno} uses {', '.join(sorted(found))}"


def bare_excepts(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{path}:{node.lineno} catches everything"


def settings_readers(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    """Settings reach the parts of the engine as arguments, from api."""
    if not within(path, "engine", "storage") or path.startswith("engine/settings"):
        return
    for node in ast.walk(tree):
        if any(map(SETTINGS.fullmatch, imported(node))):
            yield f"{path}:{node.lineno} imports the settings"


Check = Callable[[str, str, ast.Module], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    long_functions,
    long_files,
    unannotated_functions,
    wall_clocks,
    impure_core,
    bare_excepts,
    settings_readers,
)


@cache
def texts() -> dict[str, str]:
    """Every tracked text file."""
    found = {}
    for name in tracked():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            found[name] = content.decode("utf-8", errors="replace")
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_python_files_keep(check: Check) -> None:
    files = {path: text for path, text in texts().items() if path.endswith(".py")}
    assert files
    complaints = [c for path, text in files.items() for c in check(path, text, ast.parse(text))]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("pattern", [MACHINE_PATH, INDEX_HOST], ids=["machine path", "index host"])
def test_text_files_name_no(pattern: re.Pattern[str]) -> None:
    complaints = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in texts().items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not complaints, "\n".join(complaints)


def test_the_lock_pins_and_hashes_everything_and_records_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    names = {entry.split("==")[0] for entry in entries}
    assert {"setuptools", "pytest", "websockets"} <= names


def complaints(check: Check, path: str, text: str) -> int:
    return len(list(check(path, text, ast.parse(text))))


BODY = "    pass\n" * MAX_FUNCTION_LINES


@pytest.mark.parametrize(
    ("check", "path", "text", "expected"),
    [
        (long_functions, "bench/a.py", "def f():\n" + BODY, 1),
        (long_functions, "bench/a.py", "def f():\n" + BODY.removesuffix("    pass\n"), 0),
        (long_functions, "bench/a.py", "async def f():  # long: a table\n" + BODY, 0),
        (long_functions, "bench/a.py", "async def f():  # long:\n" + BODY, 1),
        (long_files, "api/a.py", "x = 1\n" * 401, 1),
        (long_files, "api/a.py", "x = 1\n" * 400, 0),
        (long_files, "api/a.py", "# long: generated\n" + "x = 1\n" * 401, 0),
        (long_files, "api/a.py", "x = 1\n" * 401 + "# long: generated\n", 1),
        (unannotated_functions, "api/a.py", "def f(a: int) -> None: ...", 0),
        (unannotated_functions, "api/a.py", "def f(a) -> None: ...", 1),
        (unannotated_functions, "api/a.py", "def f(*a, **k) -> None: ...", 1),
        (unannotated_functions, "api/a.py", "def f(*, a) -> None: ...", 1),
        (unannotated_functions, "api/a.py", "def f(): ...", 1),
        (unannotated_functions, "api/a.py", "class A:\n def f(self) -> None: ...", 0),
        (unannotated_functions, "api/a.py", "class A:\n def f(self, a) -> None: ...", 1),
        (unannotated_functions, "api/a.py", "class A:\n @staticmethod\n def f(a) -> int: ...", 1),
        (unannotated_functions, "tests/a.py", "def f(a): ...", 0),
        (wall_clocks, "api/a.py", "now = time.time()", 1),
        (wall_clocks, "api/a.py", "from time import time_ns", 1),
        (wall_clocks, "storage/a.py", "field(default_factory=datetime.utcnow)", 1),
        (wall_clocks, "engine/flow.py", "datetime.datetime.now(UTC)", 1),
        (wall_clocks, "engine/flow.py", "time.monotonic_ns()\nclock.now()", 0),
        (wall_clocks, CLOCK, "time.time_ns()", 0),
        (wall_clocks, "tests/a.py", "time.time()", 0),
        (impure_core, "engine/core/a.py", "import time", 1),
        (impure_core, "engine/core/a.py", "from random import Random", 1),
        (impure_core, "engine/model/a.py", "from uuid import uuid4", 1),
        (impure_core, "engine/model/a.py", "print(1)", 1),
        (impure_core, "engine/model/a.py", "position.open()\nfrom datetime import datetime", 0),
        (impure_core, "engine/flow.py", "import time", 0),
        (bare_excepts, "bench/a.py", "try:\n    f()\nexcept:\n    raise", 1),
        (bare_excepts, "bench/a.py", "try:\n    f()\nexcept OSError:\n    raise", 0),
        (settings_readers, "engine/flow.py", "from engine.settings import Settings", 1),
        (settings_readers, "storage/a.py", "from engine import settings", 1),
        (settings_readers, "engine/venues/a.py", "import engine.settings_fields", 1),
        (settings_readers, "engine/settings_checks.py", "import engine.settings_fields", 0),
        (settings_readers, "api/main.py", "from engine.settings import Settings", 0),
    ],
)
def test_the_checks_catch(check: Check, path: str, text: str, expected: int) -> None:
    assert complaints(check, path, text) == expected


@pytest.mark.parametrize("name", ["work", "home", "root"])
def test_the_path_pattern_knows_paths_from_routes(name: str) -> None:
    assert MACHINE_PATH.search(f"cd /{name}/main")
    assert MACHINE_PATH.search(f'"/{name}/x"')
    assert not MACHINE_PATH.search(f"https://example.org/{name}/x")
    assert not MACHINE_PATH.search(f"../{name}/x ~/{name}/x")
