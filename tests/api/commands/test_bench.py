"""The command over benches that are written for the test: what it runs, prints and returns."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import api
import api.commands.bench as command
from api.cli import app

GOOD = {"bench": "swift", "rows": [], "ratios": {"a": 2.0}, "targets": {"a": 1.0}, "ok": True}
BAD = {**GOOD, "bench": "tardy", "ratios": {"a": 0.5}, "ok": False}


def program(result: object, code: int) -> str:
    """A bench that prints ``result`` with ``--json``, else a line, and ends with ``code``."""
    return (
        "import sys\n"
        f"print({json.dumps(result)!r} if '--json' in sys.argv else 'a line')\n"
        f"sys.exit({code})\n"
    )


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two benches; the package itself lies elsewhere."""
    monkeypatch.setattr(api, "__file__", str(tmp_path / "installed" / "api" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / command.PACKAGE_MARK
    mark.parent.mkdir(parents=True)
    mark.touch()
    benches = tmp_path / "bench"
    (benches / "__init__.py").touch()
    (benches / "swift.py").write_text(program(GOOD, 0))
    (benches / "tardy.py").write_text(program(BAD, 1))
    return benches


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", *arguments])


def test_a_bench_that_holds_is_passed_through_and_exits_0(checkout: Path) -> None:
    result = run("swift", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == GOOD


def test_a_missed_target_is_passed_through_and_exits_1(checkout: Path) -> None:
    result = run("tardy", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == BAD


def test_without_a_name_all_are_run_and_one_miss_is_a_miss(checkout: Path) -> None:
    result = run("--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"benches": [GOOD, BAD], "ok": False}
    (checkout / "tardy.py").unlink()
    result = run("--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"benches": [GOOD], "ok": True}


def test_for_people_the_lines_go_straight_out(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run()
    assert result.exit_code == 1
    assert result.stdout == "swift:\ntardy:\n"
    assert capfd.readouterr().out == "a line\na line\n"
    assert run("swift").exit_code == 0


def test_an_unknown_name_is_a_usage_error_that_tells_the_names(checkout: Path) -> None:
    result = run("shared")
    assert result.exit_code == 2
    assert "swift, tardy" in result.output


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit('broken')",
        "print('{')",
        "print('[]')",
        "print('{}')",
        "import sys; print('{\"ok\": true}'); sys.exit(3)",
        "import os; os.abort()",
    ],
    ids=["dies", "half a result", "no object", "no verdict", "odd code", "is killed"],
)
def test_a_bench_that_fails_is_an_error_and_never_a_pass(checkout: Path, text: str) -> None:
    (checkout / "swift.py").write_text(text)
    for arguments in (["swift", "--json"], ["--json"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "bench swift ended with code" in result.stderr
        assert result.stdout == ""


def test_a_bench_that_hangs_is_ended(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LIMIT_S", 0.2)
    (checkout / "swift.py").write_text("import time; time.sleep(60)")
    result = run("swift", "--json")
    assert result.exit_code == 1
    assert "did not end within 0.2 s" in result.stderr


def test_without_a_checkout_the_remedy_is_told(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    result = run("swift", "--json")
    assert result.exit_code == 1
    assert "checkout" in result.stderr


def test_the_checkout_of_the_package_comes_before_the_working_directory(tmp_path: Path) -> None:
    result = run("swift")
    assert result.exit_code == 2
    assert "reaction" in result.output
    assert "wire" in result.output


def test_help_shows_an_example() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "tickguard bench wire --json" in result.stdout
