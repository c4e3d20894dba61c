"""The command as owners run it, against a running simulator of both venues and markets."""

import asyncio
import contextlib
import json
import logging
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from typer.testing import CliRunner

from api.cli import app
from tests.engine.venues.recorded_files import is_played, numbers, read_files, sent_frames
from tests.requirements import ROOT

WANTED = (
    "bybit:linear:BTCUSDT",
    "bybit:spot:BTCUSDT",
    "binance:linear:BTCUSDT",
    "binance:spot:BTCUSDT",
)
MINUTES = "0.04"
Outcome = Any


def environment(given: Mapping[str, str]) -> dict[str, str]:
    kept = ("PATH", "HOME", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONPATH")
    own = {name: os.environ[name] for name in kept if name in os.environ}
    return own | {"PYTHONPATH": str(ROOT), "ENABLE_TELEGRAM_NOTIFICATIONS": "False"} | dict(given)


def start(*arguments: str, cwd: Path, env: Mapping[str, str], **options: Any) -> Any:
    command = [sys.executable, "-m", "api", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(command, cwd=cwd, env=environment(env), **pipes)


@contextlib.contextmanager
def simulator(directory: Path, *options: str, **env: str) -> Iterator[dict[str, Any]]:
    """Run ``tickguard simulator``; yields what it announces."""
    log = directory / "sent.jsonl"
    arguments = ("simulator", "--json", "--sent-log", str(log), *options)
    with start(*arguments, cwd=directory, env=env, stderr=subprocess.DEVNULL) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seeded")


@pytest.fixture(scope="module")
def venue(folder: Path) -> Iterator[dict[str, Any]]:
    with simulator(folder, "--prices", "seeded", "--seed", "11") as facts:
        yield facts


def options_of(*instruments: str) -> list[str]:
    return [word for name in instruments for word in ("--instrument", name)]


def record(cwd: Path, env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    with start("record", *arguments, cwd=cwd, env=env) as process:
        out, err = process.communicate(timeout=40)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def until(condition: Callable[[], Any], seconds: float = 15.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.02)


def frames_match(directory: Path, log: Path) -> None:
    """Each file holds a whole stretch of what the simulator sent, in both of its files."""
    sent = sent_frames(log)
    for name, file in read_files(directory).items():
        assert len(file.lines) == len(file.times_ns) > 0, name
        if "_control_" not in name:
            frames = [frame for _, frame in sent[file.key]]
            # One simulator serves many tests: a recording begins where it was subscribed.
            starts = [at for at, frame in enumerate(frames) if frame == file.lines[0]]
            size = len(file.lines)
            assert any(frames[at : at + size] == file.lines for at in starts), name


def test_it_records_what_was_sent_and_plays_it_again(
    folder: Path, venue: dict[str, Any], tmp_path: Path
) -> None:
    arguments = [*options_of(*WANTED), "--minutes", MINUTES, "--json"]
    done = record(tmp_path, venue["urls"], *arguments, "--out", "mine")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"directory", "files", "frames", "seconds"}
    mine = tmp_path / "mine"
    assert told["directory"] == str(mine)
    assert 60 * float(MINUTES) <= told["seconds"] < 60 * float(MINUTES) + 1
    recorded = read_files(mine)
    assert {row["name"]: row["frames"] for row in told["files"]} == {
        name: len(file.lines) for name, file in recorded.items()
    }
    assert told["frames"] == sum(row["frames"] for row in told["files"])
    httpx.post(f"{venue['control']}/flush", trust_env=False)
    frames_match(mine, folder / "sent.jsonl")

    play = ("--prices", "recorded")
    with simulator(tmp_path, *play, TICKGUARD_RECORDED=str(mine)) as again:
        done = record(tmp_path, again["urls"], *arguments, "--out", "heard")
    assert done.returncode == 0, done.stderr
    texts = {file.key: numbers(file.lines) for file in recorded.values() if file.key[2]}
    heard = {file.key: file for file in read_files(tmp_path / "heard").values() if file.key[2]}
    assert len(heard) == len(texts) == 3 + 2 + 3 + 2
    for key, file in heard.items():
        assert is_played(texts[key], numbers(file.lines)), key


def heard_of(folder: Path, instrument: str) -> bool:
    """Tell whether a trade of an instrument is on disk."""
    venue, market, symbol = instrument.split(":")
    part = "usdm" if (venue, market) == ("binance", "linear") else market
    names = [
        file.name.lower() for file in folder.glob(f"{venue}/*.recv_ns.txt") if file.stat().st_size
    ]
    return any(part in name and "trade" in name and symbol.lower() in name for name in names)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_files(
    folder: Path, venue: dict[str, Any], tmp_path: Path, number: signal.Signals
) -> None:
    arguments = [*options_of(*WANTED), "--minutes", "10", "--json", "--out", "mine"]
    with start("record", *arguments, cwd=tmp_path, env=venue["urls"]) as process:
        until(lambda: all(heard_of(tmp_path / "mine", name) for name in WANTED))
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert 0 < told["seconds"] < 30
    counted = {name: len(file.lines) for name, file in read_files(tmp_path / "mine").items()}
    assert {row["name"]: row["frames"] for row in told["files"]} == counted
    httpx.post(f"{venue['control']}/flush", trust_env=False)
    frames_match(tmp_path / "mine", folder / "sent.jsonl")


def test_a_terminal_sees_the_progress(venue: dict[str, Any], tmp_path: Path) -> None:
    terminal, other = pty.openpty()
    arguments = [*options_of(WANTED[0]), "--minutes", "0.02"]
    with start("record", *arguments, cwd=tmp_path, env=venue["urls"], stderr=other) as process:
        os.close(other)
        out, _ = process.communicate(timeout=20)
    seen = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert process.returncode == 0, seen
    assert "recording: 0 of 1 s, 0 frames" in seen
    assert "recording: 1 of 1 s, " in seen
    assert "feed.connected" not in seen
    assert f"TICKGUARD_RECORDED={tmp_path / 'data' / 'recorded'} tickguard simulator" in out


# --- in this process ------------------------------------------------------------------------------


@pytest.fixture
def invoke(
    venue: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Outcome]]:
    """Run the command here; logging is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENABLE_TELEGRAM_NOTIFICATIONS", "False")
    for name, value in venue["urls"].items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def run(*arguments: str) -> Outcome:
        return CliRunner().invoke(app, ["record", *arguments], catch_exceptions=False)

    yield run
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_plain_output_lists_the_files_and_says_how_to_play_them(
    invoke: Callable[..., Outcome], tmp_path: Path
) -> None:
    done = invoke(*options_of(WANTED[0], WANTED[0]), "--minutes", "0.02", "--gzip", "--out", "a b")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "bybit/v5_tickers_linear_btcusdt_" in done.stdout
    assert all(line.split()[1].endswith(".jsonl.gz") for line in lines[:-2])
    assert lines[-2].endswith("frames in 1 s")
    where = tmp_path / "a b"
    play = "tickguard simulator --prices recorded"
    assert lines[-1] == f"play them: TICKGUARD_RECORDED='{where}' {play}"
    assert not list(where.rglob("*.jsonl"))
    assert not list(where.rglob("*.json"))


def test_an_unknown_instrument_is_told_with_near_names(invoke: Callable[..., Outcome]) -> None:
    done = invoke(*options_of("bybit:linear:BTCUST"), "--minutes", "1", "--out", "mine")
    assert done.exit_code == 1
    assert "error: --instrument bybit:linear:BTCUST" in done.stderr
    assert "near names: BTCUSDT" in done.stderr


def test_a_venue_outside_of_the_settings_is_told(invoke: Callable[..., Outcome]) -> None:
    done = invoke(*options_of("okx:spot:BTCUSDT"), "--minutes", "1")
    assert done.exit_code == 1
    assert "--instrument okx:spot:BTCUSDT: okx is none of VENUES=bybit,binance" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--instrument", "bybit:linear", "--minutes", "1"], "--instrument"),
        (["--instrument", "bybit:future:BTCUSDT", "--minutes", "1"], "--instrument"),
        (["--instrument", WANTED[0], "--minutes", "0"], "--minutes"),
        (["--instrument", WANTED[0], "--minutes", "-1"], "--minutes"),
        (["--instrument", WANTED[0], "--minutes", "nan"], "--minutes"),
        (["--instrument", WANTED[0], "--minutes", "inf"], "--minutes"),
        (["--instrument", WANTED[0], "--minutes", "ten"], "--minutes"),
        (["--instrument", WANTED[0]], "--minutes"),
        (["--minutes", "1"], "--instrument"),
    ],
)
def test_wrong_usage_names_the_option(
    invoke: Callable[..., Outcome], arguments: list[str], field: str
) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert field in done.stderr


def test_a_folder_that_cannot_be_written_is_told(
    invoke: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = invoke(*options_of(WANTED[0]), "--minutes", "1", "--out", "file/below")
    assert done.exit_code == 1
    assert "error: --out file/below cannot be written: " in done.stderr


def test_a_silent_instrument_fails_and_the_rest_is_kept(
    invoke: Callable[..., Outcome], venue: dict[str, Any], tmp_path: Path
) -> None:
    def fault(**fields: Any) -> None:
        httpx.post(f"{venue['control']}/fault", json=fields, trust_env=False).raise_for_status()

    fault(kind="mute", instrument="bybit:spot:BTCUSDT")
    try:
        done = invoke(*options_of(*WANTED[:2]), "--minutes", "0.02", "--json", "--out", "mine")
    finally:
        fault(kind="clear")
    assert done.exit_code == 1
    assert "error: no frame came for bybit:spot:BTCUSDT; " in done.stderr
    assert json.loads(done.stdout)["frames"] > 0
    assert read_files(tmp_path / "mine")


def test_an_unreachable_venue_is_told(
    invoke: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYBIT_REST_URL", "http://127.0.0.1:1")
    done = invoke(*options_of(WANTED[0]), "--minutes", "1")
    assert done.exit_code == 1
    assert "error: http://127.0.0.1:1/v5/market/instruments-info" in done.stderr
    assert "error: nothing was recorded: check the network" in done.stderr


def test_a_signal_ends_the_wait_for_a_venue_that_does_not_answer(
    invoke: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(_listening()) as mute:
        monkeypatch.setenv("BYBIT_REST_URL", f"http://127.0.0.1:{mute.getsockname()[1]}")
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        began_s = time.monotonic()
        done = invoke(*options_of(WANTED[0]), "--minutes", "1", "--json")
        timer.join()
    assert time.monotonic() - began_s < 10
    assert done.exit_code == 1
    assert json.loads(done.stdout)["files"] == []
    assert "no frame came for bybit:linear:BTCUSDT" in done.stderr


def test_a_part_that_crashes_is_told_and_what_came_is_kept(
    invoke: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def crash(self: object) -> None:
        await asyncio.sleep(0.8)
        raise ZeroDivisionError

    monkeypatch.setattr("engine.venues.recorder_files.Recording.run", crash)
    done = invoke(*options_of(WANTED[0]), "--minutes", "1", "--out", "mine")
    assert done.exit_code == 1
    assert "record.failed" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert read_files(tmp_path / "mine")


def test_help_shows_an_example(invoke: Callable[..., Outcome]) -> None:
    done = invoke("--help")
    assert done.exit_code == 0
    assert "Example: tickguard record --instrument bybit:linear:BTCUSDT" in done.stdout


def _listening() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening
