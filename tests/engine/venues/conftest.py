"""A scripted venue and what a feed tells of it, read by each library."""

from collections.abc import AsyncIterator

import pytest

from tests.engine.venues.venue_server import LIBRARIES, Heard, Library, VenueServer


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]


@pytest.fixture
async def server(library: Library) -> AsyncIterator[VenueServer]:
    async with VenueServer(library).running() as server:
        yield server


@pytest.fixture
def heard() -> Heard:
    return Heard()
