"""Hooks of the whole suite: what tests need from the machine, and the coverage gate."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.coverage_gate import CoverageGate
from tests.requirements import ROOT, Machine, Requirements

REQUIREMENTS = pytest.StashKey[Requirements]()

# Every run of `make test` tries the same examples; `make prove` tries new ones.
settings.register_profile("test", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("prove", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("test")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--coverage-gate",
        action="store_true",
        help="fail the session when a package is covered less than its floor; needs --cov",
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[REQUIREMENTS] = Requirements(Machine(os.environ, ROOT))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    if config.getoption("--coverage-gate") and not hasattr(config, "workerinput"):
        if not config.getoption("cov_source"):
            raise pytest.UsageError("--coverage-gate needs --cov")
        config.pluginmanager.register(CoverageGate(config.rootpath), "coverage-gate")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that takes one of the fixtures below carries its marker too."""
    for item in items:
        for name in config.stash[REQUIREMENTS].names:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    requirements = item.config.stash[REQUIREMENTS]
    for name in requirements.names:
        if not item.get_closest_marker(name) or not (why := requirements.missing(name)):
            continue
        if name in requirements.required:
            pytest.fail(f"{why} (TICKGUARD_REQUIRE lists it)", pytrace=False)
        pytest.skip(why)


def _found(request: pytest.FixtureRequest, name: str) -> Path:
    path = request.config.stash[REQUIREMENTS].find(name)
    assert path is not None, "the test should have been skipped before its fixtures"
    return path


@pytest.fixture(scope="session")
def recordings(request: pytest.FixtureRequest) -> Path:
    """The directory of recorded venue streams."""
    return _found(request, "recordings")


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Path:
    """The program of a browser."""
    return _found(request, "chromium")


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Path:
    """The directory of a PostgreSQL server's programs (initdb, postgres)."""
    return _found(request, "postgres")
