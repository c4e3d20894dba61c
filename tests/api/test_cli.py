import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from api.cli import app
from engine.settings import MASK
from engine.settings_fields import NAMES

ROOT = typer.main.get_command(app)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no setting of the machine's."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def commands(
    command: click.Command = ROOT, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


EACH = [path for path, _ in commands()]
LEAVES = [path for path, command in commands() if not hasattr(command, "commands")]


def test_the_commands_that_are_built_are_there() -> None:
    wanted = {("run",), ("demo",), ("simulator",), ("config",), ("version",)}
    assert wanted | {("keys", each) for each in ("create", "list", "revoke")} <= set(LEAVES)


@pytest.mark.parametrize("path", EACH, ids=" ".join)
def test_each_help_has_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert f"Example: tickguard {' '.join(path)}".rstrip() in result.stdout


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_command_has_json(path: tuple[str, ...]) -> None:
    command = dict(commands())[path]
    assert "--json" in {option for each in command.params for option in each.opts}


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["keys", "create"],
        ["keys", "create", "--name", "n", "--scope", "king"],
        ["keys", "revoke"],
        ["simulator", "--port", "x"],
        ["demo", "extra"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_the_version_is_the_package_s() -> None:
    assert CliRunner().invoke(app, ["version"]).stdout == f"tickguard {version('tickguard')}\n"
    said = CliRunner().invoke(app, ["version", "--json"]).stdout
    assert json.loads(said) == {"version": version("tickguard")}


def test_config_shows_each_setting_and_masks_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("WEBHOOK_SECRET=hush-hush-hush-hush\nTAKE_PROFIT_PERCENT=7\n")
    (tmp_path / ".env").chmod(0o600)
    monkeypatch.setenv("BYBIT_API_SECRET", "very-quiet-indeed")
    result = CliRunner().invoke(app, ["config", "--json"])
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert shown.keys() == NAMES.keys()
    assert shown["WEBHOOK_SECRET"] == shown["BYBIT_API_SECRET"] == MASK
    assert shown["TAKE_PROFIT_PERCENT"] in {"7", "7.0"}
    words = CliRunner().invoke(app, ["config"]).stdout
    changed = {line.split()[1] for line in words.splitlines() if line.startswith("*")}
    assert {"WEBHOOK_SECRET", "BYBIT_API_SECRET", "TAKE_PROFIT_PERCENT"} <= changed
    assert "STOP_LOSS_PERCENT" not in changed
    for said in (result.output, words):
        assert "hush" not in said
        assert "quiet" not in said


def test_warnings_go_to_standard_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SOMEBODY_ELSES=1\n")
    result = CliRunner().invoke(app, ["config", "--json"])
    assert "warning: SOMEBODY_ELSES" in result.stderr
    assert json.loads(result.stdout)


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "api", "version"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    assert said.decode() == f"tickguard {version('tickguard')}\n"
