from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.service import Service, running


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A running service on paper, with prices for the instruments it lists."""
    async with running(tmp_path) as service:
        yield service
