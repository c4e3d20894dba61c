import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.model.errors import Misconfigured
from storage.lock import LOCK_FILE, data_dir_lock, database_lock
from tests.storage.structs import NOON_NS

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from engine.model.errors import Misconfigured
from storage.lock import data_dir_lock
try:
    with data_dir_lock(Path(sys.argv[1]), int(sys.argv[2])):
        print("held", flush=True)
        sys.stdin.read()
except Misconfigured as error:
    print(error, flush=True)
"""


@contextmanager
def child(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lock until its stdin ends; its first line says whether."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir), str(NOON_NS)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path):
    with child(tmp_path) as holder:
        assert first_line(holder) == "held"
        with child(tmp_path) as second:
            refusal = first_line(second)
        assert f"process {holder.pid}, started at 2023-11-14T22:13:20" in refusal
        assert str(tmp_path) in refusal
        with (
            pytest.raises(Misconfigured, match=f"process {holder.pid},"),
            data_dir_lock(tmp_path, NOON_NS),
        ):
            raise AssertionError("two holders")


def test_sigkill_frees_the_lock(tmp_path: Path):
    for _ in range(3):
        with child(tmp_path) as holder:
            assert first_line(holder) == "held"
            os.kill(holder.pid, signal.SIGKILL)
            assert holder.wait(timeout=10) == -signal.SIGKILL
    with data_dir_lock(tmp_path, NOON_NS):
        assert f'"pid":{os.getpid()},' in (tmp_path / LOCK_FILE).read_text()


def test_a_child_process_does_not_keep_the_lock_of_its_dead_parent(tmp_path: Path):
    with data_dir_lock(tmp_path, NOON_NS):
        sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with data_dir_lock(tmp_path, NOON_NS):
            pass
    finally:
        sleeper.communicate(b"\n")


def test_the_lock_is_freed_by_an_error_too(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), data_dir_lock(tmp_path, NOON_NS):
        raise ZeroDivisionError
    with data_dir_lock(tmp_path, NOON_NS):
        pass


def test_a_longer_entry_of_an_earlier_holder_leaves_no_rest(tmp_path: Path):
    (tmp_path / LOCK_FILE).write_text("x" * 500)
    with data_dir_lock(tmp_path, NOON_NS):
        assert (tmp_path / LOCK_FILE).read_text() == (
            f'{{"pid":{os.getpid()},"started_at":"2023-11-14T22:13:20.000000000Z"}}\n'
        )


def test_a_holder_that_has_not_written_yet_is_another_process(tmp_path: Path):
    with data_dir_lock(tmp_path, NOON_NS):
        (tmp_path / LOCK_FILE).write_text("")
        with (
            pytest.raises(Misconfigured, match="in use by another process"),
            data_dir_lock(tmp_path, NOON_NS),
        ):
            raise AssertionError("two holders")


def test_the_directory_is_made_for_its_owner_only(tmp_path: Path):
    with data_dir_lock(tmp_path / "made", NOON_NS):
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "made" / LOCK_FILE).stat().st_mode & 0o777 == 0o600


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(Misconfigured, match=r"DATA_DIR .*file"),
        data_dir_lock(tmp_path / "file", NOON_NS),
    ):
        raise AssertionError("locked a file")


def test_two_data_directories_on_one_sqlite_file_are_kept_apart(tmp_path: Path) -> None:
    file = tmp_path / "shared" / "tickguard.sqlite"
    with (
        database_lock(file, 0),
        pytest.raises(Misconfigured, match="is in use by process"),
        database_lock(file, 0),
    ):
        pytest.fail("locked twice")
    with database_lock(file, 0):
        pass
