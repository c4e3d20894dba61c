import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from api.demo.stage import COMMAND, Child, DemoFailed, clean_environment


async def started(folder: Path, *arguments: str) -> Child:
    return await Child.start(arguments, clean_environment(), folder, folder / "child.log")


async def test_a_child_announces_itself_and_ends_in_order(tmp_path: Path) -> None:
    child = await started(tmp_path, "simulator", "--prices", "seeded")
    assert child.facts.keys() == {"urls", "control", "keys"}
    assert await child.stop() == 0
    assert await child.stop() == 0  # once more changes nothing
    assert "simulator.started" in child.last_words()


async def test_a_child_that_has_ended_by_itself_has_its_exit_code(tmp_path: Path) -> None:
    child = await started(tmp_path, "version")
    assert child.facts.keys() == {"version"}
    assert await child.ended() == 0
    assert await child.kill() == 0


async def test_a_child_that_never_gets_ready_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match=r"tickguard simulator did not get ready(.|\n)*speed"):
        await started(tmp_path, "simulator", "--prices", "seeded", "--speed", "-1")


async def test_a_child_whose_start_is_interrupted_does_not_live_on(tmp_path: Path) -> None:
    starting = asyncio.create_task(started(tmp_path, "run"))
    log = tmp_path / "child.log"
    async with asyncio.timeout(20):
        while not log.exists():  # noqa: ASYNC110 - it is made right before the process
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert starting.cancelled()


def test_a_child_ends_when_its_standard_input_is_let_go(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "simulator", "--prices", "seeded", "--json"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_no_setting_of_the_user_and_no_proxy_reaches_a_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRADING_MODE", "live")
    monkeypatch.setenv("BYBIT_API_SECRET", "hush")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("NO_PROXY", "example.org")
    environment = clean_environment()
    assert "TRADING_MODE" not in environment
    assert "hush" not in environment.values()
    assert environment["NO_PROXY"] == environment["no_proxy"] == "*"
    assert environment["PATH"] == os.environ["PATH"]
