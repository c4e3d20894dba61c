"""One process per data directory and per SQLite file, held by the operating system.

``flock`` ends with the process however it ends, SIGKILL included, so there is no stale lock to
break. The file stays behind; only the lock on it means anything. On network file systems the lock
is as good as theirs.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.model.errors import Misconfigured
from storage.types import format_time

LOCK_FILE = "tickguard.lock"


class Holder(Struct, frozen=True):
    """Who holds the lock: process id, and start time as ISO 8601 UTC."""

    pid: int
    started_at: str


@contextmanager
def data_dir_lock(data_dir: Path, started_at_ns: int) -> Iterator[None]:
    """Hold ``data_dir/tickguard.lock``; the directory is made if need be.

    Args:
        started_at_ns: UTC ns, written into the file for whoever is refused.

    Raises:
        Misconfigured: another process holds it (the message names its pid), or the directory
            cannot be written.
    """
    with _lock(data_dir / LOCK_FILE, f"DATA_DIR {data_dir}", "DATA_DIR", started_at_ns):
        yield


@contextmanager
def database_lock(database: Path, started_at_ns: int) -> Iterator[None]:
    """Hold ``<database>.lock``: two data directories may name one SQLite file.

    Raises:
        Misconfigured: another process holds it, or its directory cannot be written.
    """
    path = database.with_name(f"{database.name}.lock")
    with _lock(path, f"the database {database}", "DATABASE_URL", started_at_ns):
        yield


@contextmanager
def _lock(path: Path, what: str, setting: str, started_at_ns: int) -> Iterator[None]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not inherited by child processes: they would keep the lock after our death.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(f"{what} cannot be written: {error.strerror}") from error
    try:
        _take(descriptor, what, setting)
        _write(descriptor, Holder(os.getpid(), format_time(started_at_ns)))
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, what: str, setting: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Misconfigured(
            f"{what} is in use by {_describe(descriptor)}; "
            f"stop it, or give this one a {setting} of its own"
        ) from None


def _write(descriptor: int, holder: Holder) -> None:
    text = msgspec.json.encode(holder) + b"\n"
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def _describe(descriptor: int) -> str:
    try:
        holder = msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Holder)
    except msgspec.DecodeError:  # it has locked and not yet written
        return "another process"
    return f"process {holder.pid}, started at {holder.started_at}"
