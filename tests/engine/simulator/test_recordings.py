import gzip
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.model.errors import Misconfigured
from engine.model.instrument import Market
from engine.simulator.recordings import (
    Channel,
    Track,
    decode,
    level_one,
    read_listings,
    read_tracks,
)
from tests.engine.simulator.rig import ids, refusal


@pytest.fixture(scope="session")
def tracks(recordings: Path) -> dict[str, Track]:
    return {str(track.instrument): track for track in read_tracks(recordings)}


def payloads(track: Track, channel: Channel) -> list[Any]:
    return [decode(cue.data) for cue in track.cues if cue.channel is channel]


def lines(path: Path) -> list[str]:
    packed = path.with_name(path.name + ".gz")
    if packed.exists():
        return gzip.decompress(packed.read_bytes()).decode().splitlines()
    return path.read_text().splitlines()


def test_the_promised_instruments_are_recorded(tracks: dict[str, Track]) -> None:
    channels = {name: {cue.channel for cue in track.cues} for name, track in tracks.items()}
    trade, quote, ticker, mark = Channel.TRADE, Channel.QUOTE, Channel.TICKER, Channel.MARK
    assert channels == {
        "bybit:linear:BTCUSDT": {trade, quote, ticker},
        "bybit:linear:ETHUSDT": {trade, quote, ticker},
        "bybit:spot:BTCUSDT": {trade, quote, ticker},
        "binance:spot:BTCUSDT": {trade, quote},
        "binance:spot:ETHUSDT": {trade, quote},
        "binance:linear:BTCUSDT": {trade, quote, mark},
        "binance:linear:ETHUSDT": {trade, quote},
    }
    assert tracks["binance:linear:BTCUSDT"].has(mark)


def test_payloads_are_byte_for_byte_those_of_the_files(
    tracks: dict[str, Track], recordings: Path
) -> None:
    name = "usdm_trade_btcusdt_20230404"
    recorded = lines(recordings / "binance" / f"{name}.jsonl")
    ours = [c.data for c in tracks["binance:linear:BTCUSDT"].cues if c.channel is Channel.TRADE]
    assert len(ours) == len(recorded)
    assert all(data.decode() in line for data, line in zip(ours, recorded, strict=True))


def test_cues_keep_the_recorded_distances(tracks: dict[str, Track]) -> None:
    for track in tracks.values():
        times = [cue.at_s for cue in track.cues]
        assert times[0] == 0
        assert times == sorted(times)
        assert track.period_s > times[-1]
    assert 510 < tracks["binance:linear:BTCUSDT"].period_s < 520


def test_no_frame_is_from_the_future(tracks: dict[str, Track]) -> None:
    for name, track in tracks.items():
        stamp = "E" if name.startswith("binance") else "ts"
        for cue in track.cues:
            payload = decode(cue.data)
            if stamp in payload:
                assert payload[stamp] - track.start_ms <= cue.at_s * 1000 + 1, name


def test_the_insurance_fund_print_is_there_and_ends_no_aggregate_of_others(
    tracks: dict[str, Track],
) -> None:
    cues = [c for c in tracks["binance:linear:BTCUSDT"].cues if c.channel is Channel.TRADE]
    sources = Counter(decode(cue.data)["X"] for cue in cues)
    assert sources["INSURANCE_FUND"] == 1
    place = next(i for i, cue in enumerate(cues) if b"INSURANCE_FUND" in cue.data)
    assert cues[place - 1].closes
    assert cues[place].closes


def test_aggregates_end_where_time_price_or_side_changes(tracks: dict[str, Track]) -> None:
    cues = [c for c in tracks["binance:spot:ETHUSDT"].cues if c.channel is Channel.TRADE]
    for cue, after in itertools.pairwise(cues[:500]):
        one, other = decode(cue.data), decode(after.data)
        same = all(one[name] == other[name] for name in ("T", "p", "m"))
        assert cue.closes is not same
    assert cues[-1].closes


def test_level_one_is_the_touch_of_the_deep_book(recordings: Path) -> None:
    frames = [json.loads(x) for x in lines(recordings / "bybit" / "v5_orderbook200_spot.jsonl")]
    derived = [frame for _, frame in level_one((n, dict(f)) for n, f in enumerate(frames))]
    bids: dict[str, float] = {}
    asks: dict[str, float] = {}
    touches = []
    for frame in frames:
        for side, levels in ((bids, frame["data"]["b"]), (asks, frame["data"]["a"])):
            side.update({price: float(qty) for price, qty in levels})
        best = (
            max(float(p) for p, q in bids.items() if q),
            min(float(p) for p, q in asks.items() if q),
        )
        size = next(q for p, q in bids.items() if float(p) == best[0])
        other = next(q for p, q in asks.items() if float(p) == best[1])
        touch = (best[0], size, best[1], other)
        if not touches or touches[-1] != touch:
            touches.append(touch)
    ours = [
        tuple(float(value) for side in "ba" for value in frame["data"][side][0])
        for frame in derived
    ]
    assert ours == touches
    assert list(derived[0]) == list(frames[0])
    assert {frame["type"] for frame in derived} == {"snapshot"}


def test_a_new_snapshot_replaces_the_book() -> None:
    def frame(kind: str, bid: str, update: int) -> dict[str, Any]:
        data = {"s": "X", "b": [[bid, "1"]], "a": [["9", "1"]], "u": update, "seq": update}
        return {"topic": "t", "type": kind, "ts": 1, "data": data, "cts": 1}

    frames = [frame("snapshot", "5", 1), frame("delta", "4", 2), frame("snapshot", "3", 3)]
    derived = [f["data"]["b"] for _, f in level_one(enumerate(frames))]
    assert derived == [[["5", "1"]], [["3", "1"]]]


def test_recorded_lists_hold_the_filters(recordings: Path) -> None:
    lists = read_listings(recordings)
    expected = {
        "bybit:linear:BTCUSDT": ("0.10", "0.001"),
        "bybit:spot:BTCUSDT": ("0.1", "0.000001"),
        "binance:spot:BTCUSDT": ("0.01000000", "0.00001000"),
        "binance:linear:BTCUSDT": ("0.01", "0.001"),
    }
    for name, (tick, step) in expected.items():
        listing = lists.get(ids(name))
        assert listing is not None
        assert (listing.tick, listing.step) == (tick, step)
    assert len(lists.of("bybit", Market.LINEAR)) > 500


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refusal(Misconfigured, "TICKGUARD_RECORDED", "spot_trade_btcusdt"):
        read_tracks(tmp_path)


def test_a_stream_without_all_its_times_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "binance"
    directory.mkdir()
    name = "spot_trade_btcusdt_20240808"
    (directory / f"{name}.jsonl").write_text('{"data":{}}\n{"data":{}}\n')
    (directory / f"{name}.recv_ns.txt").write_text("1\n")
    with refusal(Misconfigured, "2 frames", "1 receive times"):
        read_tracks(tmp_path)
