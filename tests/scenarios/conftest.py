from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.processes import Exchange, Service, command


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """An exchange simulator as a process, shared by a module's tests."""
    arguments = ("simulator", "--prices", "seeded", "--seed", "7", "--json")
    with command(*arguments, cwd=tmp_path_factory.mktemp("simulator")) as process:
        exchange = Exchange(process.announced())
        yield exchange
        exchange.close()


@pytest.fixture
def exchange(simulator: Exchange) -> Iterator[Exchange]:
    """The simulator, without an earlier test's prices and faults."""
    simulator.held.clear()
    yield simulator
    simulator.post("fault", kind="clear")


@pytest.fixture
def service(exchange: Exchange, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services in a folder of the test's own, and ends them."""
    made: list[Service] = []

    def make(**settings: str) -> Service:
        made.append(Service(exchange, tmp_path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.end()
