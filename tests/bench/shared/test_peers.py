"""Programs of the peers' environment, run by the Python at hand; and that environment's absence."""

import sys
from pathlib import Path

import pytest

from bench.shared import peers
from bench.shared.report import BenchFailed


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "bin" / "python")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(peers, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(peers, "PROGRAMS", tmp_path)
    return tmp_path


def write(programs: Path, text: str) -> str:
    (programs / "some.py").write_text(f"import json, os, sys, time\n{text}\n", encoding="utf-8")
    return "some.py"


@pytest.mark.usefixtures("absent")
def test_without_the_environment_nothing_is_installed_and_nothing_runs() -> None:
    assert not peers.installed("numpy")
    assert peers.version("json") is None
    with pytest.raises(BenchFailed, match="not installed: make peers"):
        peers.run("some.py", {}, timeout_s=1)


@pytest.mark.usefixtures("programs")
def test_a_package_is_installed_when_it_can_be_imported() -> None:
    assert peers.installed("msgspec")
    assert peers.version("msgspec") == __import__("msgspec").__version__
    assert not peers.installed("no_such_package_anywhere")


def test_a_program_takes_an_object_and_its_last_line_is_the_result(programs: Path) -> None:
    name = write(programs, "print('a word before'); print(json.dumps(json.load(sys.stdin)))")
    assert peers.run(name, {"n": 3, "names": ["a"]}, timeout_s=20) == {"n": 3, "names": ["a"]}


def test_a_program_inherits_neither_our_place_nor_our_modules_nor_a_proxy(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PYTHONPATH", str(programs))
    name = write(programs, "print(json.dumps({'env': list(os.environ), 'files': os.listdir()}))")
    found = peers.run(name, {}, timeout_s=20)
    assert not {"HTTPS_PROXY", "PYTHONPATH"} & set(found["env"])
    assert found["files"] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sys.exit('no such market')", "ended with code 1"),
        ("pass", "without a result"),
        ("print('42 prices')", "without a result"),
        ("print('[42]')", "no JSON object"),
        ("time.sleep(60)", "no result within 0.2 s"),
    ],
)
def test_a_program_that_fails_is_an_error_that_says_how(
    programs: Path, text: str, told: str
) -> None:
    name = write(programs, text)
    with pytest.raises(BenchFailed, match=told):
        peers.run(name, {}, timeout_s=0.2 if "sleep" in text else 20)


def test_what_a_failing_program_said_is_shown(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(programs, "sys.exit('no such market')")
    with pytest.raises(BenchFailed):
        peers.run(name, {}, timeout_s=20)
    assert "no such market" in capsys.readouterr().err
