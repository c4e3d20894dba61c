"""Demos that are ended from outside: they leave nothing behind."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.processes import children_of, is_alive, until

pytestmark = pytest.mark.timeout(240)


class Terminal:
    """A demo on a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        places = {"TICKGUARD_RECORDED": "/nowhere", "TMPDIR": str(self.temporary)}
        self._owner, terminal = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api", "demo"],
            cwd=folder,
            env=os.environ | places | {"TERM": "xterm", "COLUMNS": "160", "LINES": "50"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)

    def _read(self) -> bool:
        try:
            self.said += os.read(self._owner, 65536).decode(errors="replace")
        except OSError:  # the terminal's other side is closed
            return False
        return True

    def until(self, words: str) -> None:
        while words not in self.said:
            assert self._read(), self.said

    def interrupt(self, number: signal.Signals) -> tuple[int, list[int]]:
        """Send a signal twice; returns the exit code and the processes that ran until then."""
        children = children_of(self.process.pid)
        self.process.send_signal(number)
        self.process.send_signal(number)
        while self._read():  # a full terminal would hold it up
            pass
        return self.process.wait(timeout=30), children

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._owner)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    yield opened
    opened.end()


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGINT, "service up"), (signal.SIGTERM, "exchange simulator up")],
)
def test_an_interrupted_demo_leaves_nothing_behind(
    terminal: Terminal, number: signal.Signals, words: str
) -> None:
    terminal.until(words)
    until(lambda: len(children_of(terminal.process.pid)) == 2, "both processes")
    code, children = terminal.interrupt(number)
    assert code == 1
    assert "error: interrupted" in terminal.said
    assert not [pid for pid in children if is_alive(pid)]
    assert list(terminal.temporary.iterdir()) == []


def test_a_killed_demo_leaves_no_process_behind(terminal: Terminal) -> None:
    terminal.until("service up")
    code, children = terminal.interrupt(signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert len(children) == 2
    until(lambda: not any(map(is_alive, children)), "the end of both processes")
