"""What a peer's program tells: at the last price, or once its stream stays silent."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.shared import peers
from bench.shared.report import BenchFailed

OPENING = """import time
import tally
tally.SILENT_S = 0.05
args = tally.arguments()
mine = tally.Tally("3.00")
"""


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    shutil.copy(peers.PROGRAMS / "tally.py", tmp_path)
    monkeypatch.setattr(peers, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(peers, "PROGRAMS", tmp_path)
    return tmp_path


def run(programs: Path, text: str) -> dict[str, Any]:
    (programs / "some.py").write_text(OPENING + text, encoding="utf-8")
    return peers.run("some.py", {}, timeout_s=30)


def test_the_last_price_ends_the_program_and_later_ones_are_not_counted(programs: Path) -> None:
    found = run(programs, "for price in ('1.00', '2.00', '3.00', '4.00'): mine.take(price)")
    assert (found["prices"], found["whole"]) == (3, True)
    assert found["ended_ns"] > 0
    assert found["cpu_s"] >= 0


def test_a_stream_that_falls_silent_is_told_with_the_prices_it_had(programs: Path) -> None:
    found = run(programs, "mine.take('1.00'); mine.take('2.00'); time.sleep(60)")
    assert (found["prices"], found["whole"]) == (2, False)
    assert found["ended_ns"] > 0


def test_a_stream_that_never_begins_is_an_error(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BenchFailed, match="ended with code 1"):
        run(programs, "tally.START_S = 0.05; time.sleep(60)")
    assert "no price" in capsys.readouterr().err
