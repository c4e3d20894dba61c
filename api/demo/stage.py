"""The processes of the demo: simulator and service, as a newcomer would start them."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.model.errors import TickguardError
from engine.settings_fields import NAMES

READY_S = 30.0
STOP_S = 10.0
MODULE = [sys.executable, "-m", "api"]


class DemoFailed(TickguardError):
    """A process of the demo did not do what it should."""


class Child:
    """One child process that announces itself by one JSON line on its standard output."""

    def __init__(
        self, process: asyncio.subprocess.Process, log: Path, facts: dict[str, Any]
    ) -> None:
        self._process = process
        self._log = log
        self.facts = facts

    @classmethod
    async def start(
        cls, arguments: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path
    ) -> "Child":
        """Start ``tickguard ARGUMENTS --json`` and wait until it says that it is ready.

        Raises:
            DemoFailed: it ended, or said nothing in time; the message holds its last words.
        """
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *MODULE,
                *arguments,
                "--json",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=directory,
                env=dict(environment),
            )
        try:
            async with asyncio.timeout(READY_S):
                facts = await _announcement(process)
        except (TimeoutError, json.JSONDecodeError) as error:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            words = _last_words(log)
            raise DemoFailed(f"tickguard {arguments[0]} did not get ready:\n{words}") from error
        return cls(process, log, facts)

    async def stop(self) -> int:
        """Ask it to end in order and return its exit code; killed when it takes too long."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """End it at once, as a power cut would."""
        return await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        if self._process.returncode is not None:
            return self._process.returncode
        self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    def last_words(self) -> str:
        """Return the end of its log."""
        return _last_words(self._log)


async def _announcement(process: asyncio.subprocess.Process) -> dict[str, Any]:
    if process.stdout is None:
        raise DemoFailed("a child process has no standard output")
    facts: dict[str, Any] = json.loads(await process.stdout.readline())
    return facts


def _last_words(log: Path, lines: int = 15) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def clean_environment() -> dict[str, str]:
    """The process's environment without anything that is a setting of ours."""
    return {name: value for name, value in os.environ.items() if name not in NAMES}
