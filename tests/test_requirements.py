"""What the machine lacks is skipped by name, or fails when required; .ci/run finds the same."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.requirements import BROWSER_FILES, FINDERS, ROOT, Machine, Requirements

HERE = Path("somewhere")
NEEDY = """
    import pytest

    def test_by_fixture(recordings):
        assert recordings.is_dir()

    @pytest.mark.recordings
    def test_by_marker():
        pass

    def test_without():
        pass
    """


def machine(tmp_path: Path, **environ: str) -> Machine:
    """A machine that holds nothing but what the test puts below its root, the checkout."""
    root = tmp_path / "checkout"
    root.mkdir(exist_ok=True)
    return Machine({"PATH": "", "HOME": str(tmp_path / "home"), **environ}, root)


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_recordings_lie_beside_the_checkout(tmp_path: Path) -> None:
    assert FINDERS["recordings"](machine(tmp_path)) is None
    (tmp_path / "shared" / "recorded").mkdir(parents=True)
    assert FINDERS["recordings"](machine(tmp_path)) == tmp_path / "shared" / "recorded"


def test_recordings_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "shared" / "recorded").mkdir(parents=True)
    find = FINDERS["recordings"]
    assert find(machine(tmp_path, TICKGUARD_RECORDED="../mine")) == tmp_path / "mine"
    assert find(machine(tmp_path, TICKGUARD_RECORDED=str(tmp_path / "mine"))) == tmp_path / "mine"
    assert find(machine(tmp_path, TICKGUARD_RECORDED="../gone")) is None
    empty = machine(tmp_path, TICKGUARD_RECORDED="")
    assert find(empty) == tmp_path / "shared" / "recorded"


def test_postgres_needs_both_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.requirements.POSTGRES_PATTERNS", ())
    here = machine(tmp_path, PATH=str(tmp_path / "bin"))
    program(tmp_path / "bin" / "postgres")
    assert FINDERS["postgres"](here) is None
    program(tmp_path / "bin" / "initdb")
    assert FINDERS["postgres"](here) == tmp_path / "bin"


def test_what_is_found_is_looked_for_once() -> None:
    calls = []

    def find(_: Machine) -> Path:
        calls.append(1)
        return HERE

    requirements = Requirements(Machine({}, HERE), {"thing": find})
    assert requirements.missing("thing") is None
    assert requirements.find("thing") == HERE
    assert len(calls) == 1


def test_the_list_of_required_names_is_read_leniently_but_not_misread() -> None:
    read = Requirements(Machine({"TICKGUARD_REQUIRE": " recordings , postgres,"}, HERE))
    assert read.required == {"recordings", "postgres"}
    with pytest.raises(ValueError, match="holds recording; known are recordings, chromium"):
        Requirements(Machine({"TICKGUARD_REQUIRE": "recording"}, HERE))


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite with our hooks, on a machine without recordings."""
    pytester.makeconftest("from tests.conftest import *")
    pytester.makepyfile(NEEDY)
    pytester.makeini(
        "[pytest]\nmarkers =\n    recordings: x\n    chromium: x\n    postgres: x\n    root: x\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TICKGUARD_RECORDED", str(pytester.path / "gone"))
    monkeypatch.delenv("TICKGUARD_REQUIRE", raising=False)
    return pytester


def test_missing_is_skipped_by_name(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*recordings: no directory*TICKGUARD_RECORDED*"])


def test_required_and_missing_fails(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKGUARD_REQUIRE", "recordings")
    result = suite.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*recordings: no directory*TICKGUARD_REQUIRE lists it*"])


def test_found_runs_and_may_be_selected(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKGUARD_RECORDED", str(suite.path))
    result = suite.runpytest_subprocess("-m", "recordings")
    result.assert_outcomes(passed=2, deselected=1)


def test_an_unknown_requirement_is_a_usage_error(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKGUARD_REQUIRE", "postgresql")
    result = suite.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*postgresql; known are*"])


class Ci:
    """.ci/run in a checkout of its own, with a make that tells what it was asked."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.script = tmp_path / "checkout" / ".ci" / "run"
        self.script.parent.mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "run", self.script)
        self.bin = tmp_path / "bin"
        self.make('echo "$1 [$TICKGUARD_REQUIRE]"')
        (self.bin / "dirname").symlink_to(shutil.which("dirname") or "dirname")

    def make(self, body: str) -> None:
        program(self.bin / "make").write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")

    def machine(self, **environ: str) -> Machine:
        return machine(self.tmp_path, PATH=str(self.bin), **environ)

    def run(self, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("bash") or "bash", self.script],
            cwd="/",
            env=dict(self.machine(**environ).environ),
            capture_output=True,
            text=True,
            check=False,
        )

    def required(self, **environ: str) -> str:
        done = self.run(**environ)
        lint, test = done.stdout.splitlines()
        assert done.returncode == 0
        assert lint.removeprefix("lint ") == test.removeprefix("test ")
        return test.removeprefix("test ").strip("[]")


@pytest.fixture
def ci(tmp_path: Path) -> Ci:
    return Ci(tmp_path)


@pytest.mark.skipif(
    any(map(os.path.exists, BROWSER_FILES)), reason="a browser outside PATH and HOME"
)
def test_ci_requires_nothing_on_a_bare_machine(ci: Ci) -> None:
    assert ci.required(TICKGUARD_REQUIRE="postgres") == ""


@pytest.mark.parametrize("named", [False, True])
def test_ci_requires_recordings_it_finds(ci: Ci, named: bool) -> None:
    directory = ci.tmp_path / ("mine" if named else "shared/recorded")
    directory.mkdir(parents=True)
    environ = {"TICKGUARD_RECORDED": str(directory)} if named else {}
    assert "recordings" in ci.required(**environ)
    assert FINDERS["recordings"](ci.machine(**environ)) == directory


@pytest.mark.parametrize(
    "place",
    [
        "bin/chromium",
        "bin/chromium-browser",
        "bin/google-chrome",
        "bin/google-chrome-stable",
        "bin/chrome",
        "home/.cache/ms-playwright/chromium-1194/chrome-linux/chrome",
        "home/.cache/ms-playwright/chromium-1300/chrome-linux64/chrome",
        "home/Library/Caches/ms-playwright/chromium-1/chrome-mac/Chromium.app/Contents/MacOS/Chromium",
        "kept/chromium-1194/chrome-linux/chrome",
    ],
)
def test_ci_and_the_tests_find_the_same_browsers(ci: Ci, place: str) -> None:
    browser = program(ci.tmp_path / place)
    kept = {"PLAYWRIGHT_BROWSERS_PATH": str(ci.tmp_path / "kept")} if "kept" in place else {}
    assert FINDERS["chromium"](ci.machine(**kept)) == browser
    assert "chromium" in ci.required(**kept)


def test_ci_stops_at_lint_and_passes_its_failure_on(ci: Ci) -> None:
    ci.make('echo "$1"; exit 2')
    done = ci.run()
    assert (done.stdout, done.returncode) == ("lint\n", 2)


def test_ci_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
