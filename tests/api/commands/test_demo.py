"""What the command decides before and after a demo; tests/scenarios/test_demo.py plays it."""

from pathlib import Path

import pytest

from api.commands import demo as command
from api.commands.demo import recordings
from api.demo.stage import DemoFailed
from api.demo.summary import Outcome
from tests.api.commands.conftest import Tickguard


def test_a_folder_that_holds_files_is_refused(tickguard: Tickguard, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "old").touch()
    result = tickguard("demo", "--keep", str(kept))
    assert result.exit_code == 2
    assert "holds files already" in " ".join(result.stderr.replace("│", " ").split())
    assert [path.name for path in kept.iterdir()] == ["old"]


def test_a_file_in_place_of_the_folder_is_refused(tickguard: Tickguard, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    result = tickguard("demo", "--keep", "kept")
    assert result.exit_code == 2
    assert "--keep kept" in result.stderr


def test_playing_and_judging_exclude_each_other(tickguard: Tickguard) -> None:
    assert tickguard("demo", "--keep", "a", "--verify", "b").exit_code == 2


def test_a_folder_without_a_demo_is_refused(tickguard: Tickguard) -> None:
    result = tickguard("demo", "--verify", "nowhere", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: nowhere is not what a demo with --keep leaves" in result.stderr


def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: Outcome | DemoFailed) -> Path:
    """Let the course be over at once, and the judge say this. Returns where folders are made."""

    def judge(_: Path) -> Outcome:
        if isinstance(outcome, DemoFailed):
            raise outcome
        return outcome

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(command.tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(command, "_run_course", lambda folder, json: None)
    monkeypatch.setattr(command, "verify", judge)
    return temporary


def test_a_good_demo_leaves_nothing(
    tickguard: Tickguard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = play(monkeypatch, tmp_path, Outcome({"ok": True}, [], []))
    result = tickguard("demo", "--json")
    assert (result.exit_code, result.stdout) == (0, '{"ok":true}\n')
    assert list(temporary.iterdir()) == []


def test_a_demo_that_is_not_right_keeps_its_files_and_says_where(
    tickguard: Tickguard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = play(monkeypatch, tmp_path, Outcome({"ok": False}, ["this [one]"], []))
    result = tickguard("demo")
    assert result.exit_code == 1
    [kept] = temporary.iterdir()
    assert "WRONG: this [one]" in result.stdout
    assert str(kept) in result.stdout
    result = tickguard("demo", "--json")
    assert (result.exit_code, result.stdout) == (1, '{"ok":false}\n')
    assert "WRONG: this [one]" in result.stderr


def test_a_demo_that_failed_keeps_its_logs_and_says_where(
    tickguard: Tickguard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = play(monkeypatch, tmp_path, DemoFailed("the service ended"))
    result = tickguard("demo")
    assert result.exit_code == 1
    [kept] = temporary.iterdir()
    assert result.stderr == f"error: the service ended\nerror: logs are kept in {kept}\n"


def test_the_recordings_are_the_only_setting_that_is_read(
    tickguard: Tickguard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "mine").mkdir(parents=True)
    (tmp_path / "shared" / "recorded").mkdir(parents=True)
    assert recordings(home) == (tmp_path / "shared" / "recorded").resolve()
    (home / ".env").write_text("API_PORT=nonsense\nTICKGUARD_RECORDED=mine\n")
    assert recordings(home) == (home / "mine").resolve()
    monkeypatch.setenv("TICKGUARD_RECORDED", "nowhere")
    assert recordings(home) is None
    monkeypatch.setenv("TICKGUARD_RECORDED", "")
    assert recordings(home) == (home / "mine").resolve()
