"""The coverage gate on synthetic figures, then on real sessions in a project of its own."""

import textwrap
from pathlib import Path

import pytest

from tests.coverage_gate import FileReport, Package, judge, lines_of, packages_of
from tests.requirements import ROOT

PROJECT = {
    "pyproject.toml": """
        [tool.coverage.run]
        branch = true
        source = ["engine", "storage"]
        patch = ["subprocess"]

        [tool.pytest.ini_options]
        asyncio_default_fixture_loop_scope = "function"
        """,
    "conftest.py": """
        import pytest
        from tests.coverage_gate import CoverageGate

        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                config.pluginmanager.register(CoverageGate(config.rootpath))
        """,
    "engine/__init__.py": "",
    "engine/core/__init__.py": """
        def sign(number):
            if number < 0:
                return -1
            return 1
        """,
    "storage/__init__.py": "",
    "storage/started.py": "print('started')",
}
BOTH_WAYS = """
    import subprocess, sys
    from engine.core import sign

    def test_plus():
        assert sign(1) == 1

    def test_minus():
        assert sign(-1) == -1

    def test_a_process_of_its_own():
        subprocess.run([sys.executable, "-m", "storage.started"], check=True)
    """
ONE_WAY = BOTH_WAYS.replace("assert sign(-1) == -1", "pass")


def report(
    covered: int,
    total: int,
    *,
    branches: tuple[int, int] = (0, 0),
    lines: tuple[int, ...] = (),
    missing_branches: tuple[tuple[int, int], ...] = (),
) -> FileReport:
    return {
        "summary": {
            "covered_lines": covered,
            "num_statements": total,
            "covered_branches": branches[0],
            "num_branches": branches[1],
        },
        "missing_lines": list(lines),
        "missing_branches": [list(branch) for branch in missing_branches],
    }


def verdicts(files: dict[str, FileReport]) -> dict[str, bool]:
    return {package.name: package.holds for package in judge(files)}


def test_a_file_of_the_engine_counts_for_its_package_and_the_whole() -> None:
    assert packages_of("engine/core/book.py") == ("engine", "engine/core")
    assert packages_of("engine/venues/bybit/feed.py") == ("engine", "engine/venues")
    assert packages_of("engine/flow.py") == ("engine",)
    assert packages_of("api/routes/positions.py") == ("api",)


@pytest.mark.parametrize("strict", ["engine/model", "engine/core"])
def test_model_and_core_need_everything(strict: str) -> None:
    full, short = report(10_000, 10_000), report(9_999, 10_000)
    assert verdicts({f"{strict}/a.py": full}) == {"engine": True, strict: True}
    assert verdicts({f"{strict}/a.py": short}) == {"engine": True, strict: False}


@pytest.mark.parametrize("path", ["storage/a.py", "api/web/a.py", "engine/flow.py"])
def test_other_packages_need_ninety_percent(path: str) -> None:
    top = path.split("/", maxsplit=1)[0]
    assert verdicts({path: report(90, 100)}) == {top: True}
    assert verdicts({path: report(89, 100)}) == {top: False}


def test_a_weak_part_of_the_engine_fails_beside_a_strong_one() -> None:
    files = {"engine/core/a.py": report(1000, 1000), "engine/venues/a.py": report(8, 10)}
    assert verdicts(files) == {"engine": True, "engine/core": True, "engine/venues": False}


def test_branches_count_like_lines() -> None:
    assert verdicts({"api/a.py": report(50, 50, branches=(40, 50))}) == {"api": True}
    assert verdicts({"api/a.py": report(50, 50, branches=(39, 50))}) == {"api": False}


def test_a_package_without_statements_is_not_judged() -> None:
    assert verdicts({"engine/core/__init__.py": report(0, 0)}) == {}


def test_gaps_are_told_for_failing_packages_only() -> None:
    files = {
        "engine/core/a.py": report(
            5, 9, lines=(3, 4, 5, 9), missing_branches=((2, 3), (3, 4), (6, 8), (7, -1))
        ),
        "storage/a.py": report(99, 100, lines=(7,)),
    }
    text = "\n".join(lines_of(judge(files)))
    assert "engine/core/a.py: 3-5, 9, 6->8, 7->exit" in text
    assert "storage/a.py" not in text


def test_a_long_list_of_gaps_is_cut() -> None:
    files = {f"api/f{number:02}.py": report(0, 1, lines=(1,)) for number in range(40)}
    assert list(lines_of(judge(files)))[-1] == "... and 10 more files"


def test_almost_all_is_never_rounded_up() -> None:
    line = str(Package("engine/core", covered=99_999, total=100_000))
    assert "99.99 %" in line
    assert line.endswith("TOO LOW")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name, text in PROJECT.items():
        path = Path(pytester.path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "COV_CORE_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    return pytester


def run(project: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    project.makepyfile(textwrap.dedent(tests))
    return project.runpytest_subprocess("--cov", "--cov-report=", *options)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_covered_project_passes_and_pytest_speaks_last(
    project: pytest.Pytester, options: tuple[str, ...]
) -> None:
    result = run(project, BOTH_WAYS, *options)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*coverage gate*", "engine/core *100.00 %*ok", "storage *ok"])
    assert "3 passed" in result.outlines[-1]


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_gap_fails_the_session_before_the_closing_line(
    project: pytest.Pytester, options: tuple[str, ...]
) -> None:
    result = run(project, ONE_WAY, *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*coverage gate FAILED*", "engine/core *TOO LOW", "engine/core/__init__.py: 4*"]
    )
    assert "3 passed" in result.outlines[-1]


def test_measuring_nothing_fails(project: pytest.Pytester) -> None:
    for name in ("engine", "storage"):
        for path in Path(project.path, name).rglob("*.py"):
            path.write_text("", encoding="utf-8")
    result = run(project, "def test_nothing():\n    pass\n")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*coverage gate FAILED*", "nothing was measured"])
