"""How peers' quiet ticks are timed; and the peers themselves, where they are installed."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.shared import peers
from bench.shared.report import BenchFailed
from bench.shared.stand import PEERS

ARGS: dict[str, Any] = {
    "take_profits": [110.0 + n for n in range(30)],
    "stop_losses": [90.0 - n for n in range(30)],
    "prices": [100.0, 104.5, 99.1],
    "sizes": [1, 30],
    "checks": 100,
    "rounds": 2,
}
PROGRAM = """from quiet import measure
from tally import arguments

def build(take_profits, stop_losses, prices):
    levels = list(zip(take_profits, stop_losses))
    return lambda: sum(p >= high or p <= low for p in prices for high, low in levels) {wrong}

measure(arguments(), build)
"""


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("tally.py", "quiet.py"):
        shutil.copy(peers.PROGRAMS / name, tmp_path)
    monkeypatch.setattr(peers, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(peers, "PROGRAMS", tmp_path)
    return tmp_path


def run(programs: Path, wrong: str, **args: Any) -> dict[str, Any]:
    (programs / "some.py").write_text(PROGRAM.replace("{wrong}", wrong), encoding="utf-8")
    return peers.run("some.py", ARGS | args, timeout_s=30)


def test_every_size_has_a_figure_a_round(programs: Path) -> None:
    found = run(programs, "")
    assert {size: len(figures) for size, figures in found["ns"].items()} == {"1": 2, "30": 2}
    assert all(ns > 0 for figures in found["ns"].values() for ns in figures)
    assert found["setup_s"].keys() == {"1", "30"}


@pytest.mark.parametrize(
    ("wrong", "args", "why"),
    [
        ("* 0", {}, "0 of 1 stops were reached"),
        ("* 2", {}, "2 of 1 stops were reached"),
        ("", {"prices": [100.0, 110.0]}, "thresholds were reached by quiet prices"),
    ],
)
def test_a_check_that_finds_too_little_or_too_much_is_no_figure(
    programs: Path,
    capsys: pytest.CaptureFixture[str],
    wrong: str,
    args: dict[str, Any],
    why: str,
) -> None:
    with pytest.raises(BenchFailed, match="ended with code 1"):
        run(programs, wrong, **args)
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(("package", "program"), PEERS.values(), ids=PEERS)
def test_a_peer_reaches_every_stop_and_none_by_quiet_prices(package: str, program: str) -> None:
    if not peers.installed(package):
        pytest.skip(f"{package} is not installed: make peers")
    found = peers.run(program, ARGS, timeout_s=60)
    assert {size: len(figures) for size, figures in found["ns"].items()} == {"1": 2, "30": 2}
