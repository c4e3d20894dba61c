"""A scripted venue and what a feed tells of it."""

from collections.abc import AsyncIterator

import pytest

from tests.engine.venues.venue_server import Heard, VenueServer


@pytest.fixture
async def server() -> AsyncIterator[VenueServer]:
    async with VenueServer().running() as server:
        yield server


@pytest.fixture
def heard() -> Heard:
    return Heard()
