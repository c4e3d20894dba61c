"""Other people's libraries, in an environment of their own (``make peers``), run as processes.

A program is a file of ``bench/peers/``. It takes one JSON object on standard input to its end, and
the last line of its standard output is one JSON object: the result. It runs in an empty temporary
directory with nothing of ours to import but its neighbours, so no program may bear the name of a
package. It must come to an end by itself.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.shared.report import NOT_INSTALLED, BenchFailed

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PROGRAMS = ROOT / "bench" / "peers"
IMPORT_LIMIT_S = 60.0
KEPT = ("HOME", "LANG", "PATH", "TMPDIR")
"""What programs inherit: no proxy for loopback, no module path of ours."""


def installed(package: str) -> bool:
    """Whether the peers' Python can import a package, named as in an import statement."""
    return version(package) is not None


def version(package: str) -> str | None:
    """Version of a package named as in an import statement; None where it cannot be imported."""
    return _version(PYTHON, package)


@cache
def _version(python: Path, package: str) -> str | None:
    if not python.is_file():
        return None
    look = (
        "import importlib, importlib.metadata as about, sys\n"
        "name = sys.argv[1]\n"
        "importlib.import_module(name)\n"
        "print('\\n' + about.version(about.packages_distributions()[name.split('.')[0]][0]))\n"
    )
    try:
        done = _execute([str(python), "-c", look, package], "", IMPORT_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise BenchFailed(f"importing {package} took over {IMPORT_LIMIT_S:g} s") from error
    return done.stdout.split()[-1] if done.returncode == 0 else None


def run(program: str, args: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """Run a program of ``bench/peers/`` to its end and return its result.

    Raises:
        BenchFailed: there is no such environment, or the program failed, took over ``timeout_s``
            seconds or ended without a result.
    """
    if not PYTHON.is_file():
        raise BenchFailed(f"{program}: the peers are {NOT_INSTALLED}: make peers")
    try:
        done = _execute([str(PYTHON), str(PROGRAMS / program)], json.dumps(args), timeout_s)
    except subprocess.TimeoutExpired as error:
        said = error.stderr or b""  # bytes even where text was asked for
        print(said.decode(errors="replace") if isinstance(said, bytes) else said, file=sys.stderr)
        raise BenchFailed(f"{program}: no result within {timeout_s:g} s") from error
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        raise BenchFailed(
            f"{program} ended with code {done.returncode}; its error is above, if any"
        )
    try:
        result = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise BenchFailed(f"{program} ended without a result on its last line") from error
    if not isinstance(result, dict):
        raise BenchFailed(f"{program}: its last line is no JSON object")
    return result


def _execute(command: list[str], given: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    with TemporaryDirectory(prefix="tickguard-peers-") as folder:
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            cwd=folder,
            env=kept,
            timeout=timeout_s,
            check=False,
        )
