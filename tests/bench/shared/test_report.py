"""Targets, spreads, and what a bench prints and returns."""

import json
import sys

import pytest

from bench.shared import report as module
from bench.shared.report import BenchFailed, Report, finish, ratios_of, spread


def report(**changes: object) -> Report:
    facts: dict[str, object] = {
        "bench": "some",
        "rows": [{"path": "one", "rate": spread([3.0, 1.0, 2.0])}],
        "ratios": {"speed": 0.9, "delay": 2.0, "other": 7.0},
        "targets": {"speed": 0.85, "delay": 3.0},
        "ceilings": frozenset({"delay"}),
    }
    return Report(**facts | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ratios", "missed"),
    [
        ({"speed": 0.9, "delay": 2.0}, []),
        ({"speed": 0.85, "delay": 3.0}, []),
        ({"speed": 0.8499, "delay": 2.0}, ["speed"]),
        ({"speed": 0.9, "delay": 3.0001}, ["delay"]),
        ({"speed": 0.1, "delay": 9.0}, ["speed", "delay"]),
        ({"speed": float("nan"), "delay": float("nan")}, ["speed", "delay"]),
    ],
)
def test_a_target_is_the_least_value_or_for_ceilings_the_greatest(
    ratios: dict[str, float], missed: list[str]
) -> None:
    assert report(ratios=ratios).missed == missed


def test_json_has_the_shape_of_the_contract() -> None:
    assert report().as_json() == {
        "bench": "some",
        "rows": [{"path": "one", "rate": {"median": 2.0, "min": 1.0, "max": 3.0}}],
        "ratios": {"speed": 0.9, "delay": 2.0, "other": 7.0},
        "targets": {"speed": 0.85, "delay": 3.0},
        "ok": True,
    }
    assert report(ratios={"speed": 0.1, "delay": 1.0}).as_json()["ok"] is False


def test_lines_tell_the_verdict_of_every_target() -> None:
    lines = report(ratios={"speed": 0.9, "delay": 4.0, "other": 7.0}).as_lines()
    assert lines == [
        "path=one  rate=2 (1..3)",
        "speed: 0.900  (target >= 0.85: ok)",
        "delay: 4.000  (target <= 3: MISSED)",
        "other: 7.000",
    ]


def test_a_side_that_is_not_installed_meets_no_target_of_either_kind() -> None:
    found = report(ratios={"speed": None, "delay": None, "other": None})
    assert found.missed == ["speed", "delay"]
    assert found.as_json()["ratios"] == {"speed": None, "delay": None, "other": None}
    assert found.as_json()["ok"] is False
    assert found.as_lines()[1:] == [
        "speed: not installed  (target >= 0.85: MISSED)",
        "delay: not installed  (target <= 3: MISSED)",
        "other: not installed",
    ]


def test_ratios_are_of_the_same_round() -> None:
    assert ratios_of([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="shorter"):
        ratios_of([1.0, 2.0], [1.0])


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Keep what ``finish`` sets for its whole process out of the tests' process."""
    monkeypatch.setattr(module.faulthandler, "dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr(module.logging, "disable", lambda _: None)
    monkeypatch.setattr(module.structlog, "configure", lambda **_: None)
    monkeypatch.setattr(sys, "argv", ["some", "--json"])
    return monkeypatch


@pytest.mark.parametrize(("speed", "code"), [(0.9, 0), (0.1, 1)])
def test_a_program_prints_one_json_object_and_exits_by_the_verdict(
    quiet: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], speed: float, code: int
) -> None:
    found = report(ratios={"speed": speed, "delay": 1.0})
    with pytest.raises(SystemExit) as ended:
        finish(lambda: found)
    assert ended.value.code == code
    assert json.loads(capsys.readouterr().out) == found.as_json()
    quiet.setattr(sys, "argv", ["some"])
    with pytest.raises(SystemExit):
        finish(lambda: found)
    assert capsys.readouterr().out.splitlines() == found.as_lines()


def test_what_could_not_be_measured_is_an_error(
    quiet: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Report:
        raise BenchFailed("no result")

    with pytest.raises(SystemExit) as ended:
        finish(fail)
    assert ended.value.code == "error: no result"
    assert capsys.readouterr().out == ""
