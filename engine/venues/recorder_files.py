"""The files of a recording: written beside the event loop, always as whole lines in pairs."""

import asyncio
import gzip
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.model.errors import Misconfigured
from engine.model.instrument import InstrumentId

FLUSH_SECONDS = 0.5
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Beyond this the sockets are not read until the disk has taken what waits."""

ENDINGS = (".jsonl", ".recv_ns.txt")
VENUE_FOLDERS = ("bybit", "binance")

_LINE_ENDS = bytes.maketrans(b"\n\r", b"  ")


class Stream:
    """One file of frames and the file of their times.

    Attributes:
        name: path in the directory, without ending.
        instrument: whose prices it holds; None for control frames and requests.
        heard: how many messages came.
        frames: how many of them are in the file.
    """

    def __init__(self, name: str, instrument: InstrumentId | None) -> None:
        self.name = name
        self.instrument = instrument
        self.heard = 0
        self.frames = 0
        self._lines: list[bytes] = []
        self._times_ns: list[int] = []

    def add(self, line: bytes, at_ns: int) -> None:
        """Keep a message until the next ``take``."""
        self.heard += 1
        self._lines.append(line)
        self._times_ns.append(at_ns)

    def take(self) -> tuple[list[bytes], list[int]]:
        """Hand over what was kept."""
        taken = self._lines, self._times_ns
        self._lines, self._times_ns = [], []
        return taken

    def append(self, directory: Path, lines: Sequence[bytes], times_ns: Sequence[int]) -> None:
        """Write to both files, or, if that fails, to none.

        Raises:
            FileExistsError: there was such a file before the recording.
            OSError: the disk is full, the folder is gone, ...
        """
        paths = [directory / f"{self.name}{ending}" for ending in ENDINGS]
        if not self.frames:
            _create(paths)
        sizes = [path.stat().st_size for path in paths]
        texts = (b"%s\n" % b"\n".join(lines), b"%s\n" % b"\n".join(b"%d" % at for at in times_ns))
        try:
            for path, text in zip(paths, texts, strict=True):
                with path.open("ab") as file:
                    file.write(text)
        except OSError:
            for path, size in zip(paths, sizes, strict=True):
                os.truncate(path, size)
            raise
        self.frames += len(lines)


def _create(paths: Sequence[Path]) -> None:
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for path in paths:
        path.open("xb").close()


class Recording:
    """The files of one recording. All writing happens in one thread of its own, in order.

    Attributes:
        directory: above the venues' folders.
        tag: the UTC date on which it began, numbered from a day's second recording on.
        compress: leave the files gzipped.
    """

    def __init__(self, directory: Path, day: str, offset_ns: int, *, compress: bool) -> None:
        _probe(directory)
        self.directory = directory
        self.compress = compress
        self.tag = _free_tag(directory, day)
        self._offset_ns = offset_ns
        self._streams: dict[str, Stream] = {}
        self._waiting_bytes = 0
        self._failure: OSError | None = None
        self._saved: list[Path] = []
        self._writer = ThreadPoolExecutor(1, "recorder")

    @property
    def streams(self) -> list[Stream]:
        """Those that heard anything."""
        return [stream for stream in self._streams.values() if stream.heard]

    @property
    def full(self) -> bool:
        """Whether too much waits to be written."""
        return self._waiting_bytes > MAX_WAITING_BYTES

    def files(self) -> dict[str, int]:
        """Return the files of frames, by path in the directory, and how many each holds."""
        ending = ".jsonl.gz" if self.compress else ".jsonl"
        found = sorted(self.streams, key=lambda stream: stream.name)
        return {f"{stream.name}{ending}": stream.frames for stream in found}

    def stream(self, name: str, instrument: InstrumentId | None = None) -> Stream:
        """Return the stream of a name; its files are made with its first message."""
        return self._streams.setdefault(name, Stream(name, instrument))

    def add(self, stream: Stream, message: bytes, at_ns: int) -> None:
        """Keep a message and its monotonic moment."""
        if b"\n" in message or b"\r" in message:
            # Bare line ends stand between JSON's tokens only, and a frame has one line here.
            message = message.translate(_LINE_ENDS)
        stream.add(message, at_ns + self._offset_ns)
        self._waiting_bytes += len(message)

    async def save(self, bodies: Mapping[str, Sequence[bytes]]) -> None:
        """Write instrument lists; where an older one lies, with the tag in their names.

        Raises:
            Misconfigured: the directory cannot be written.
        """
        await self._work(self._save, bodies)

    async def run(self) -> None:
        """Write what has come, twice a second, until cancelled.

        Raises:
            Misconfigured: the directory cannot be written.
        """
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what has come.

        Raises:
            Misconfigured: the directory cannot be written.
        """
        batch = [(stream, *stream.take()) for stream in self.streams]
        self._waiting_bytes = 0
        await self._work(self._append, batch)

    async def close(self) -> None:
        """Write the rest, and compress if that was asked for.

        Raises:
            Misconfigured: the directory cannot be written.
        """
        try:
            await self.flush()
            if self.compress:
                await self._work(self._pack)
        finally:
            self._writer.shutdown()

    async def _work(self, job: Callable[..., None], *args: object) -> None:
        """Do a job in the writer's thread; it is done even if the caller is cancelled."""

        def guarded() -> None:
            try:
                if self._failure is None:
                    job(*args)
            except OSError as error:
                self._failure = error

        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, guarded))
        if self._failure is not None:
            raise _unwritable(self.directory, self._failure)

    def _save(self, bodies: Mapping[str, Sequence[bytes]]) -> None:
        for name, pages in bodies.items():
            older = any((self.directory / f"{name}.json{end}").exists() for end in ("", ".gz"))
            stem = f"{name}_{self.tag}" if older else name
            for number, body in enumerate(pages, 1):
                path = self.directory / f"{stem}{f'_page{number}' if number > 1 else ''}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(body)
                self._saved.append(path)

    def _append(self, batch: Iterable[tuple[Stream, list[bytes], list[int]]]) -> None:
        for stream, lines, times_ns in batch:
            if lines:
                stream.append(self.directory, lines, times_ns)

    def _pack(self) -> None:
        names = [f"{stream.name}{ending}" for stream in self.streams for ending in ENDINGS]
        for path in [*self._saved, *(self.directory / name for name in names)]:
            part, packed = (path.with_name(f"{path.name}.gz{end}") for end in (".part", ""))
            with path.open("rb") as source, gzip.open(part, "wb") as target:
                shutil.copyfileobj(source, target)
            part.rename(packed)
            path.unlink()


def _probe(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return
    except OSError as error:
        raise _unwritable(directory, error) from error


def _unwritable(directory: Path, error: OSError) -> Misconfigured:
    where = "" if error.filename is None else f" ({error.filename})"
    return Misconfigured(
        f"--out {directory} cannot be written: {error.strerror}{where}; "
        "name a folder that is yours, on a disk with space"
    )


def _free_tag(directory: Path, day: str) -> str:
    """Return the day, or with the first number that none of the files there carries."""
    names = [path.name for venue in VENUE_FOLDERS for path in (directory / venue).rglob("*")]
    tag, number = day, 1
    while any(f"_{tag}." in name or f"_{tag}_" in name for name in names):
        number += 1
        tag = f"{day}_{number}"
    return tag
