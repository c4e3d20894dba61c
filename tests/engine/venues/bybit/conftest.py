import pytest

from tests.engine.venues.bybit.venue import running


@pytest.fixture
def venue():
    with running() as served:
        yield served
