"""``tickguard bench``: measures, each bench in a process of its own, and judges by targets."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

import api
from api.commands.common import Json, fail, print_json

LIMIT_S = 600.0
"""Benches end themselves earlier; this is for one that cannot."""

PACKAGE_MARK = Path("bench", "shared", "__init__.py")


def bench(
    name: Annotated[str | None, typer.Argument(help="One bench; without it, all of them.")] = None,
    json: Json = False,
) -> None:
    """Measure ratios side by side in this run; exit 1 where one misses its target.

    Example: tickguard bench wire --json
    """
    root = _find_root()
    known = sorted(
        path.stem for path in (root / "bench").glob("*.py") if not path.stem.startswith("_")
    )
    if name is not None and name not in known:
        raise typer.BadParameter(f"{name!r} is no bench; there are {', '.join(known)}")
    chosen = known if name is None else [name]
    if json:
        results = [_measure(root, each) for each in chosen]
        whole = {"benches": results, "ok": all(result["ok"] for result in results)}
        print_json(whole if name is None else results[0])
        missed = not whole["ok"]
    else:
        missed = False
        for each in chosen:
            typer.echo(f"{each}:")
            missed = _run(root, each, capture=False).returncode != 0 or missed
    raise typer.Exit(1 if missed else 0)


def _find_root() -> Path:
    """Find the repository: benches are not installed with the package."""
    places = (Path(api.__file__).resolve().parents[1], Path.cwd())
    found = [root for root in places if (root / PACKAGE_MARK).is_file()]
    if not found:
        fail("the benches are not here: run this in a checkout of the repository")
    return found[0]


def _measure(root: Path, name: str) -> dict[str, Any]:
    done = _run(root, name, capture=True)
    try:
        result = msgspec.json.decode(done.stdout or b"", type=dict[str, Any])
    except msgspec.DecodeError:
        fail(f"bench {name} ended with code {done.returncode} and without a result")
    if done.returncode not in (0, 1) or not isinstance(result.get("ok"), bool):
        fail(f"bench {name} ended with code {done.returncode} and a result without a verdict")
    return result


def _run(root: Path, name: str, *, capture: bool) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", f"bench.{name}", *(["--json"] if capture else [])]
    stdout = subprocess.PIPE if capture else None
    try:
        # The name is one of those found above.
        return subprocess.run(  # noqa: S603
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=stdout, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        fail(f"bench {name} did not end within {LIMIT_S:g} s")
