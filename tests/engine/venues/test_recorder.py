"""Recording a running simulator through the real feed, and playing what was recorded."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.clock import SystemClock
from engine.model.errors import Misconfigured, Rejected, Retryable
from engine.model.instrument import InstrumentId, Market
from engine.venues.binance.wire import spot_dialect
from engine.venues.bybit.wire import BybitDialect
from engine.venues.channel import Counters
from engine.venues.recorder import (
    Door,
    Recorder,
    Replies,
    TeeConnector,
    control_name,
    stream_name,
)
from engine.venues.recorder_files import Recording, Stream
from engine.venues.registry import BinanceUrls, BybitUrls, VenueUrls
from engine.venues.transport import TransportError
from tests.engine.simulator.rig import Rig, simulator
from tests.engine.venues.recorded_files import is_played, numbers, read_files, sent_frames
from tests.engine.venues.venue_server import LIBRARIES, Library

WANTED = [
    InstrumentId("bybit", Market.LINEAR, "BTCUSDT"),
    InstrumentId("bybit", Market.LINEAR, "ETHUSDT"),
    InstrumentId("bybit", Market.SPOT, "ETHUSDT"),
    InstrumentId("binance", Market.SPOT, "BTCUSDT"),
    InstrumentId("binance", Market.LINEAR, "ETHUSDT"),
]
PLAYED = 3.0
"""Seconds of a recording; marks come once a second."""


def urls_of(given: dict[str, str]) -> dict[str, VenueUrls]:
    unused = "ws://127.0.0.1:1"
    return {
        "bybit": BybitUrls(given["BYBIT_REST_URL"], given["BYBIT_WS_PUBLIC_URL"], unused),
        "binance": BinanceUrls(
            given["BINANCE_SPOT_REST_URL"],
            given["BINANCE_SPOT_WS_URL"],
            unused,
            given["BINANCE_USDM_REST_URL"],
            given["BINANCE_USDM_WS_URL"],
        ),
    }


def recorder_of(
    rig: Rig, directory: Path, library: Library = LIBRARIES["websockets"], **options: Any
) -> Recorder:
    clock = SystemClock()
    urls, connector = urls_of(rig.server.urls), library(clock.monotonic_ns)
    return Recorder(directory, urls, clock, 10.0, connector, **options)


async def record(
    rig: Rig, directory: Path, wanted: Sequence[InstrumentId] = WANTED, seconds: float = PLAYED
) -> Recorder:
    recorder = recorder_of(rig, directory)
    instruments = await recorder.load(wanted)
    await recorder.run(instruments, asyncio.Event(), seconds)
    return recorder


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with simulator(seed=5, sent_log=tmp_path / "sent.jsonl") as rig:
        yield rig


async def test_files_hold_the_frames_that_were_sent_byte_for_byte(
    rig: Rig, tmp_path: Path, library: Library
) -> None:
    recorder = recorder_of(rig, tmp_path / "out", library)
    instruments = await recorder.load(WANTED)
    clock = SystemClock()
    began_ns = clock.now_ns()
    seconds = await recorder.run(instruments, asyncio.Event(), PLAYED)
    ended_ns, stopped_ns = clock.now_ns(), clock.monotonic_ns()
    assert PLAYED <= seconds < PLAYED + 1
    await rig.ask("flush")
    sent = sent_frames(tmp_path / "sent.jsonl")
    recorded = read_files(recorder.recording.directory)
    data = {n: f for n, f in recorded.items() if "_control_" not in n}
    assert {file.key for file in data.values()} == set(sent)
    offset_ns = clock.now_ns() - clock.monotonic_ns()
    for name, file in data.items():
        times_ns, frames = zip(*sent[file.key], strict=True)
        assert file.lines == list(frames[: len(file.lines)]), name
        # Only what was under way at the end is not there.
        assert all(at_ns > stopped_ns - 300_000_000 for at_ns in times_ns[len(file.lines) :]), name
        assert file.times_ns == sorted(file.times_ns)
        assert began_ns - 1_000_000 <= file.times_ns[0] <= file.times_ns[-1] <= ended_ns
        for sent_ns, received_ns in zip(times_ns, file.times_ns, strict=False):
            assert -2_000_000 < received_ns - (sent_ns + offset_ns) < 500_000_000
    assert recorder.recording.files() == {name: len(file.lines) for name, file in recorded.items()}


async def test_requests_and_answers_are_kept_apart(rig: Rig, tmp_path: Path) -> None:
    recorded = read_files((await record(rig, tmp_path / "out", seconds=1.0)).recording.directory)
    tag = next(iter(recorded)).split("_")[-1].removesuffix(".jsonl")
    for name, count in (
        (f"bybit/v5_control_linear_{tag}", 1),
        (f"bybit/v5_control_spot_{tag}", 1),
        (f"binance/spot_control_{tag}", 1),
        (f"binance/usdm_control_{tag}", 2),
    ):
        asked = [json.loads(line) for line in recorded[f"{name}.sent.jsonl"].lines]
        answers = [json.loads(line) for line in recorded[f"{name}.jsonl"].lines]
        assert len(asked) == len(answers) == count
        assert all(each.get("op", each.get("method")).lower() == "subscribe" for each in asked)
        assert all(each.get("success", True) and not each.get("error") for each in answers)
    assert (tmp_path / "out" / "bybit" / f"v5_control_linear_{tag}.sent.recv_ns.txt").exists()


async def test_instrument_lists_are_kept_as_received(rig: Rig, tmp_path: Path) -> None:
    recorder = recorder_of(rig, tmp_path / "out")
    instruments = await recorder.load(WANTED)
    assert [each.id for each in instruments] == WANTED
    stop = asyncio.Event()
    stop.set()
    await recorder.run(instruments, stop, 60.0)
    for name, path, params, key in (
        ("bybit/rest/v5_market_instruments-info_linear", "/v5/market/instruments-info",
         {"category": "linear", "limit": "1000"}, "result"),
        ("bybit/rest/v5_market_instruments-info_spot", "/v5/market/instruments-info",
         {"category": "spot", "limit": "1000"}, "result"),
        ("binance/rest/spot_exchangeInfo", "/api/v3/exchangeInfo", {}, "symbols"),
        ("binance/rest/usdm_exchangeInfo", "/fapi/v1/exchangeInfo", {}, "symbols"),
    ):  # fmt: skip
        kept = json.loads((tmp_path / "out" / f"{name}.json").read_bytes())
        assert kept[key] == (await rig.get(path, **params)).json()[key]


async def test_a_recording_is_played_with_the_same_texts(rig: Rig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await record(rig, out)
    recorded = {file.key: file for file in read_files(out).values()}
    async with simulator(prices="recorded", recordings=out) as playing:
        await record(playing, tmp_path / "again")
    heard = read_files(tmp_path / "again")
    compared = 0
    for file in heard.values():
        if file.key[-1] == "control":
            continue
        texts = numbers(file.lines)
        assert texts, file.key
        assert is_played(numbers(recorded[file.key].lines), texts), file.key
        compared += 1
    assert compared == len([key for key in recorded if key[-1] != "control"]) == 13


async def test_a_lost_connection_leaves_a_whole_recording(
    rig: Rig, tmp_path: Path, library: Library
) -> None:
    recorder = recorder_of(rig, tmp_path / "out", library)
    instruments = await recorder.load(WANTED[:1])
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run(instruments, stop, 60.0))
        await asyncio.sleep(0.7)
        await rig.fault("garbage")
        await rig.fault("close", code=1011)
        await asyncio.sleep(1.3)
        stop.set()
    recorded = {
        file.key: file
        for n, file in read_files(recorder.recording.directory).items()
        if ".sent" not in n
    }
    control = recorded["bybit", "linear", "", "control"].lines
    assert len([line for line in control if "garbage" in line]) == 1
    assert len([line for line in control if '"op":"subscribe"' in line]) == 2
    await rig.ask("flush")
    for key, frames in sent_frames(tmp_path / "sent.jsonl").items():
        if key[-1] != "garbage":
            lines = recorded[key].lines
            assert lines == [frame for _, frame in frames][: len(lines)]


async def test_show_is_called_while_it_records(rig: Rig, tmp_path: Path) -> None:
    recorder = recorder_of(rig, tmp_path / "out")
    instruments = await recorder.load(WANTED[:1])
    shown: list[float] = []
    await recorder.run(
        instruments, asyncio.Event(), 1.3, lambda: shown.append(recorder.elapsed_seconds())
    )
    assert len(shown) == 2
    assert 1.0 <= shown[1] < 1.3


async def test_an_unknown_instrument_is_refused_with_near_names(rig: Rig, tmp_path: Path) -> None:
    recorder = recorder_of(rig, tmp_path / "out")
    with pytest.raises(Rejected, match="near names: BTCUSDT"):
        await recorder.load([InstrumentId("bybit", Market.SPOT, "BTCUST")])
    with pytest.raises(Rejected, match="binance lists no such linear instrument; look"):
        await recorder.load([InstrumentId("binance", Market.LINEAR, "QQQQQQ")])
    assert list((tmp_path / "out").rglob("*")) == []


async def test_an_unreachable_venue_is_told(tmp_path: Path) -> None:
    dead = dict.fromkeys(
        ("BYBIT_REST_URL", "BINANCE_SPOT_REST_URL", "BINANCE_USDM_REST_URL"), "http://127.0.0.1:1"
    ) | dict.fromkeys(
        ("BYBIT_WS_PUBLIC_URL", "BINANCE_SPOT_WS_URL", "BINANCE_USDM_WS_URL"), "ws://127.0.0.1:1"
    )
    clock = SystemClock()
    connector = LIBRARIES["websockets"](clock.monotonic_ns)  # it opens none
    recorder = Recorder(tmp_path, urls_of(dead), clock, 10.0, connector)
    with pytest.raises(Retryable):
        await recorder.load(WANTED)


async def test_a_folder_that_goes_away_ends_the_recording(rig: Rig, tmp_path: Path) -> None:
    recorder = recorder_of(rig, tmp_path / "out")
    instruments = await recorder.load(WANTED[:1])
    (tmp_path / "out").rename(tmp_path / "gone")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(Misconfigured, match=r"--out .*cannot be written: "):
        await recorder.run(instruments, asyncio.Event(), 60.0)


# --- parts ----------------------------------------------------------------------------------------


def test_files_are_named_as_recordings_are() -> None:
    linear = InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
    assert stream_name(linear, "orderbook.1.BTCUSDT", "20261101") == (
        "bybit/v5_orderbook1_linear_btcusdt_20261101"
    )
    usdm = InstrumentId("binance", Market.LINEAR, "BTCUSDT")
    assert stream_name(usdm, "btcusdt@markPrice@1s", "20261101_2") == (
        "binance/usdm_markPrice_1s_btcusdt_20261101_2"
    )
    assert control_name("binance", Market.SPOT, "20261101") == "binance/spot_control_20261101"
    assert control_name("bybit", Market.SPOT, "20261101") == "bybit/v5_control_spot_20261101"


def bybit_door() -> tuple[Door, Stream]:
    btc = InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
    dialect = BybitDialect(Market.LINEAR)
    topic = next(iter(dialect.channels(btc, lambda _: None, Counters())))
    trades = Stream("trades", btc)
    return Door(
        dialect, {topic.encode(): trades}, Stream("control", None), Stream("sent", None)
    ), trades


@pytest.mark.parametrize(
    "frame",
    [
        b'{"topic":"publicTrade.BTCUSDT","data":[]}',
        b'{"type":"snapshot","topic":"publicTrade.BTCUSDT","data":[]}',
        b'{ "topic" : "publicTrade.BTCUSDT" }',
    ],
)
def test_a_frame_goes_to_its_topic_in_any_layout(frame: bytes) -> None:
    door, trades = bybit_door()
    assert door.stream_of(frame) is trades


@pytest.mark.parametrize(
    "frame",
    [
        b'{"success":true,"op":"subscribe"}',
        b'{"topic":"publicTrade.ETHUSDT","data":[]}',
        b'{"topic":"../../x.BTCUSDT","data":[]}',
        b'{"topic":"garbage","data":[{"p":"12',
        b"",
        b"\xff\xfe",
        b"[" * 2000,
    ],
)
def test_what_was_not_asked_for_has_no_file_of_its_own(frame: bytes) -> None:
    door, _ = bybit_door()
    assert door.stream_of(frame) is door.control


def test_the_names_of_a_combined_stream_are_found() -> None:
    stream = Stream("trades", None)
    none = Stream("control", None)
    door = Door(spot_dialect(), {b"btcusdt@trade": stream}, none, none)
    assert door.stream_of(b'{"stream":"btcusdt@trade","data":{}}') is stream
    assert door.stream_of(b'{"result":null,"id":1}') is none


async def test_a_full_buffer_holds_the_reader_until_it_is_written(
    rig: Rig, tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.venues.recorder_files.MAX_WAITING_BYTES", 100)
    monkeypatch.setattr("engine.venues.recorder_files.FLUSH_SECONDS", 60.0)
    recorder = recorder_of(rig, tmp_path / "out", library)
    instruments = await recorder.load(WANTED[:1])
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run(instruments, stop, 60.0))
        await asyncio.sleep(1.5)
        assert sum(recorder.recording.files().values()) > 3
        assert not recorder.recording.full
        stop.set()
    assert all(
        len(file.lines) == len(file.times_ns)
        for file in read_files(recorder.recording.directory).values()
    )


async def test_the_connector_passes_errors_on(tmp_path: Path, library: Library) -> None:
    clock = SystemClock()
    inner = library(clock.monotonic_ns)
    recording = Recording(tmp_path, "20261101", 0, compress=False)
    tee = TeeConnector(inner, {}, recording, clock)
    assert tee.errors == inner.errors
    with pytest.raises(TransportError):
        await tee.connect("ws://127.0.0.1:1")
    assert str(tee.explain(ValueError("x"))) == "ValueError: x"


async def test_only_good_answers_of_lists_are_kept() -> None:
    replies = Replies()

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429 if "busy" in request.url.host else 200, content=b"body")

    hooks = {"response": [replies.note]}
    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, event_hooks=hooks) as client:
        for url in (
            "http://busy.test/fapi/v1/exchangeInfo",
            "http://venue.test/fapi/v1/time",
            "http://venue.test/v5/market/instruments-info?category=spot",
            "http://venue.test/v5/market/instruments-info?category=spot&cursor=2",
            "http://venue.test/prefix/api/v3/exchangeInfo",
        ):
            await client.get(url)
    assert replies.bodies == {
        "bybit/rest/v5_market_instruments-info_spot": [b"body", b"body"],
        "binance/rest/spot_exchangeInfo": [b"body"],
    }
