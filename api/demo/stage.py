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
LAST_LINES = 15
COMMAND = [sys.executable, "-m", "api.demo.leash"]


class DemoFailed(TickguardError):
    """A process of the demo did not do what it should."""


class Child:
    """One child process that announces itself by one JSON line on its standard output.

    It has a session of its own: Ctrl-C on the terminal reaches the demo, which ends it in order.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.facts: dict[str, Any] = {}

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
                *COMMAND,
                *arguments,
                "--json",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=directory,
                env=dict(environment),
                start_new_session=True,
            )
        child = cls(process, log)
        try:
            async with asyncio.timeout(READY_S):
                child.facts = await _announcement(process)
        except (TimeoutError, ValueError) as error:
            await child.kill()
            words = child.last_words()
            raise DemoFailed(f"tickguard {arguments[0]} did not get ready:\n{words}") from error
        except asyncio.CancelledError:
            await child.kill()
            raise
        return child

    async def stop(self) -> int:
        """Ask it to end in order and return its exit code; killed when it takes too long."""
        self._signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> int:
        """End it at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end and return its exit code; killed when that takes too long."""
        try:
            async with asyncio.timeout(STOP_S):
                return await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            return await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            self._process.send_signal(number)

    def last_words(self) -> str:
        """Return the end of its log."""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-LAST_LINES:])


async def _announcement(process: asyncio.subprocess.Process) -> dict[str, Any]:
    if process.stdout is None:
        raise DemoFailed("a child process has no standard output")
    facts: dict[str, Any] = json.loads(await process.stdout.readline())
    return facts


def clean_environment() -> dict[str, str]:
    """The process's environment without anything that is a setting of ours, and without proxies."""
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    return kept | {"NO_PROXY": "*", "no_proxy": "*"}  # everything is on loopback
