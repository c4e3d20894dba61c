import asyncio
import gzip
import os
import threading
from pathlib import Path

import pytest

from engine.model.errors import Misconfigured
from engine.venues.recorder_files import FLUSH_SECONDS, Recording, Stream

DAY = "20261101"
NAME = f"bybit/v5_tickers_spot_btcusdt_{DAY}"
OFFSET_NS = 1_000


def recording_in(directory: Path, *, compress: bool = False) -> Recording:
    return Recording(directory, DAY, OFFSET_NS, compress=compress)


def names_in(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*.*"))


async def test_messages_and_their_times_are_written_in_pairs(tmp_path: Path) -> None:
    recording = recording_in(tmp_path)
    stream = recording.stream(NAME)
    assert recording.stream(NAME) is stream
    recording.add(stream, b'{"a":1}', 5)
    recording.add(stream, '{"ж":2}'.encode(), 7)
    await recording.close()
    assert (tmp_path / f"{NAME}.jsonl").read_bytes() == '{"a":1}\n{"ж":2}\n'.encode()
    assert (tmp_path / f"{NAME}.recv_ns.txt").read_text() == "1005\n1007\n"
    assert recording.files() == {f"{NAME}.jsonl": 2}


async def test_a_stream_that_heard_nothing_has_no_file(tmp_path: Path) -> None:
    recording = recording_in(tmp_path)
    recording.stream(NAME)
    await recording.flush()
    await recording.close()
    assert names_in(tmp_path) == []
    assert recording.files() == {}


@pytest.mark.parametrize("message", [b'{"a":\n1}', b'{"a":\r1}'])
async def test_a_message_has_one_line_whatever_it_holds(tmp_path: Path, message: bytes) -> None:
    recording = recording_in(tmp_path)
    recording.add(recording.stream(NAME), message, 0)
    await recording.close()
    assert (tmp_path / f"{NAME}.jsonl").read_bytes() == b'{"a": 1}\n'


async def test_what_has_come_is_on_the_disk_within_a_second(tmp_path: Path) -> None:
    assert FLUSH_SECONDS < 1
    recording = recording_in(tmp_path)
    running = asyncio.create_task(recording.run())
    for count in (1, 2):
        recording.add(recording.stream(NAME), b"{}", 0)
        await asyncio.sleep(FLUSH_SECONDS + 0.3)
        assert (tmp_path / f"{NAME}.jsonl").read_text().count("\n") == count
    running.cancel()
    await recording.close()


async def test_a_cancelled_flush_loses_nothing(tmp_path: Path) -> None:
    recording = recording_in(tmp_path)
    stream = recording.stream(NAME)
    held = threading.Event()
    recording._writer.submit(held.wait)
    recording.add(stream, b"1", 1)
    flushing = asyncio.create_task(recording.flush())
    await asyncio.sleep(0.01)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    recording.add(stream, b"2", 2)
    held.set()
    await recording.close()
    assert (tmp_path / f"{NAME}.jsonl").read_text() == "1\n2\n"
    assert (tmp_path / f"{NAME}.recv_ns.txt").read_text() == "1001\n1002\n"


async def test_compressing_replaces_the_files_at_the_end(tmp_path: Path) -> None:
    recording = recording_in(tmp_path, compress=True)
    await recording.save({"bybit/rest/list": [b"{}"]})
    recording.add(recording.stream(NAME), b"{}", 0)
    await recording.close()
    assert names_in(tmp_path) == [
        "bybit/rest/list.json.gz",
        f"{NAME}.jsonl.gz",
        f"{NAME}.recv_ns.txt.gz",
    ]
    assert gzip.decompress((tmp_path / f"{NAME}.jsonl.gz").read_bytes()) == b"{}\n"
    assert recording.files() == {f"{NAME}.jsonl.gz": 1}


async def test_a_days_further_recordings_are_numbered(tmp_path: Path) -> None:
    for expected in (DAY, f"{DAY}_2", f"{DAY}_3"):
        recording = recording_in(tmp_path, compress=expected.endswith("_2"))
        assert recording.tag == expected
        recording.add(recording.stream(f"bybit/v5_control_spot_{recording.tag}.sent"), b"{}", 0)
        await recording.close()


async def test_older_lists_stay_and_pages_are_numbered(tmp_path: Path) -> None:
    for body in (b"old", b"new"):
        recording = recording_in(tmp_path)
        await recording.save({"bybit/rest/list": [body, body + b"2"]})
        recording.add(recording.stream(f"bybit/x_{recording.tag}"), b"{}", 0)
        await recording.close()
    found = {path.name: path.read_bytes() for path in (tmp_path / "bybit" / "rest").iterdir()}
    assert found == {
        "list.json": b"old",
        "list_page2.json": b"old2",
        f"list_{DAY}_2.json": b"new",
        f"list_{DAY}_2_page2.json": b"new2",
    }


async def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    recording = recording_in(tmp_path)
    path = tmp_path / f"{NAME}.jsonl"
    path.parent.mkdir()
    path.write_text("someone else's")
    recording.add(recording.stream(NAME), b"{}", 0)
    with pytest.raises(Misconfigured, match=r"File exists .*v5_tickers_spot"):
        await recording.close()
    assert path.read_text() == "someone else's"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_both_files_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(NAME, None)
    stream.append(tmp_path, [b"1"], [1])
    times = tmp_path / f"{NAME}.recv_ns.txt"
    kept = times.with_suffix(".kept")
    times.rename(kept)
    times.symlink_to("/dev/full")
    truncated: list[tuple[str, int]] = []
    truncate = os.truncate

    def note(path: Path, size: int) -> None:
        truncated.append((path.name, size))
        if not path.is_symlink():
            truncate(path, size)

    monkeypatch.setattr(os, "truncate", note)
    with pytest.raises(OSError, match="No space left"):
        stream.append(tmp_path, [b"2"], [2])
    frames = tmp_path / f"{NAME}.jsonl"
    assert truncated == [(frames.name, 2), (times.name, 0)]
    assert frames.read_text() == "1\n"
    assert stream.frames == 1


async def test_nothing_is_written_after_a_failure(tmp_path: Path) -> None:
    recording = recording_in(tmp_path)
    (tmp_path / "bybit").write_text("no folder")
    recording.add(recording.stream(NAME), b"{}", 0)
    with pytest.raises(Misconfigured, match="--out"):
        await recording.flush()
    (tmp_path / "bybit").unlink()
    recording.add(recording.stream(NAME), b"{}", 0)
    with pytest.raises(Misconfigured, match="--out"):
        await recording.close()
    assert not (tmp_path / "bybit").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=r"--out .*file/out cannot be written: .*; name a"):
        recording_in(tmp_path / "file" / "out")
