"""How ``tickguard run`` ends when a part fails; tests/scenarios/test_service.py runs it whole."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from api.commands import run as command
from engine.model.errors import Fenced, Held, TickguardError
from tests.api.commands.conftest import Tickguard


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service of which a part fails as soon as it is ready."""

    async def serve(*given: Any) -> None:
        ready: Callable[[str], None] = given[-1]
        ready("http://127.0.0.1:1")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(60))
            raise RuntimeError("boom")

    monkeypatch.setattr(command, "serve", serve)


@pytest.mark.usefixtures("crashing")
def test_a_part_that_fails_ends_the_process_with_1_and_a_log_line(
    tickguard: Tickguard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command.logs, "configure", lambda _: Redactor())
    monkeypatch.setattr(command.logs, "catch_uncaught", lambda: None)
    with structlog.testing.capture_logs() as logs:
        result = tickguard("run", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "url": "http://127.0.0.1:1",
        "mode": "paper",
        "venues": ["bybit", "binance"],
    }
    [failed] = [line for line in logs if line["event"] == "service.failed"]
    assert failed["log_level"] == "error"
    assert "boom" in repr(failed["exc_info"].exceptions)


@pytest.mark.parametrize("kind", [Held, Fenced])
def test_who_may_not_write_ends_with_1_and_the_reason(
    tickguard: Tickguard, monkeypatch: pytest.MonkeyPatch, kind: type[TickguardError]
) -> None:
    async def serve(*_: object) -> None:
        raise kind("another one writes")

    monkeypatch.setattr(command, "serve", serve)
    monkeypatch.setattr(command.logs, "configure", lambda _: Redactor())
    monkeypatch.setattr(command.logs, "catch_uncaught", lambda: None)
    result = tickguard("run")
    assert result.exit_code == 1
    assert "error: another one writes\n" in result.stderr


class Redactor:
    """Takes what ``run`` teaches it about secrets, and leaves the log as it is."""

    def learn(self, *secrets: str) -> None:
        assert secrets
