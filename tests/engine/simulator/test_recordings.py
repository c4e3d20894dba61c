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


def write(directory: Path, name: str, *frames: Any, at_ns: int = 10**18) -> None:
    """Write frames as a recording, a second apart."""
    path = directory / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(frame) + "\n" for frame in frames))
    times = [f"{at_ns + number * 10**9}\n" for number in range(len(frames))]
    path.with_name(path.name.replace(".jsonl", ".recv_ns.txt")).write_text("".join(times))


def quote(bid: str, **fields: Any) -> dict[str, Any]:
    """A spot bookTicker of Binance."""
    data = {"u": 1, "s": "BTCUSDT", "b": bid, "B": "1", "a": "9", "A": "1"} | fields
    return {"stream": "btcusdt@bookTicker", "data": data}


def level(kind: str, bids: list[list[str]], asks: list[list[str]], symbol: str = "BTCUSDT") -> Any:
    """An orderbook.1 frame of Bybit."""
    data = {"s": symbol, "b": bids, "a": asks, "u": 7, "seq": 8}
    return {"topic": f"orderbook.1.{symbol}", "type": kind, "ts": 1000, "data": data, "cts": 999}


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


@pytest.mark.parametrize("market", ["spot", "linear"])
def test_a_recorded_market_needs_its_list(tmp_path: Path, market: str) -> None:
    write(tmp_path, f"bybit/v5_publicTrade_{market}_btcusdt_20260101", {})
    with refusal(Misconfigured, "TICKGUARD_RECORDED", f"v5_market_instruments-info_{market}.json"):
        read_listings(tmp_path)


def test_a_directory_without_recordings_is_told(tmp_path: Path) -> None:
    with refusal(Misconfigured, "TICKGUARD_RECORDED", "tickguard record", str(tmp_path)):
        read_tracks(tmp_path)
    assert list(read_listings(tmp_path)) == []


def test_a_stream_without_all_its_times_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "binance"
    directory.mkdir()
    name = "spot_trade_btcusdt_20240808"
    (directory / f"{name}.jsonl").write_text('{"data":{}}\n{"data":{}}\n')
    (directory / f"{name}.recv_ns.txt").write_text("1\n")
    with refusal(Misconfigured, "2 frames", "1 receive times"):
        read_tracks(tmp_path)


# --- which recordings are played ------------------------------------------------------------------

CHOSEN = {
    "binance:spot:BTCUSDT": ("spot", "btcusdt_20240808"),
    "binance:spot:ETHUSDT": ("spot", "ethusdt_20240808"),
    "binance:linear:BTCUSDT": ("usdm", "btcusdt_20230404"),
    "binance:linear:ETHUSDT": ("usdm", "ethusdt_20240718"),
}
FILES = {Channel.TRADE: "trade", Channel.QUOTE: "bookTicker", Channel.MARK: "markPrice_1s"}


@pytest.mark.parametrize("name", CHOSEN)
def test_the_shared_recordings_of_binance_are_those_played(
    tracks: dict[str, Track], recordings: Path, name: str
) -> None:
    prefix, tag = CHOSEN[name]
    for channel, word in FILES.items():
        stem = f"{prefix}_{word}_{tag}"
        if channel is Channel.MARK and tag != "btcusdt_20230404":
            assert not tracks[name].has(channel)
            continue
        recorded = [json.loads(x)["data"] for x in lines(recordings / "binance" / f"{stem}.jsonl")]
        assert payloads(tracks[name], channel) == recorded


@pytest.mark.parametrize("name", ["linear:BTCUSDT", "linear:ETHUSDT", "spot:BTCUSDT"])
def test_the_shared_recordings_of_bybit_are_those_played(
    tracks: dict[str, Track], recordings: Path, name: str
) -> None:
    market, symbol = name.split(":")
    track = tracks[f"bybit:{name}"]
    for channel, word in ((Channel.TRADE, "publicTrade"), (Channel.TICKER, "tickers")):
        recorded = lines(recordings / "bybit" / f"v5_{word}_{market}.jsonl")
        own = [line for line in recorded if f'"topic":"{word}.{symbol}"' in line]
        assert [cue.data.decode() for cue in track.cues if cue.channel is channel] == own
    books = [json.loads(x) for x in lines(recordings / "bybit" / f"v5_orderbook200_{market}.jsonl")]
    touches = [frame for _, frame in level_one(enumerate(books)) if frame["data"]["s"] == symbol]
    assert payloads(track, Channel.QUOTE) == touches


def test_the_shared_tracks_come_in_the_order_they_always_had(tracks: dict[str, Track]) -> None:
    bybit = ["bybit:linear:BTCUSDT", "bybit:linear:ETHUSDT", "bybit:spot:BTCUSDT"]
    assert list(tracks) == [*CHOSEN, *bybit]


def test_the_newest_recording_of_an_instrument_is_played(tmp_path: Path) -> None:
    for number, tag in enumerate(["20260102", "20260102_2", "20260102_10", "20260101_30"]):
        write(tmp_path, f"binance/spot_bookTicker_btcusdt_{tag}", quote(str(number)))
    (track,) = read_tracks(tmp_path)
    assert [payload["b"] for payload in payloads(track, Channel.QUOTE)] == ["2"]


def test_the_preferred_recording_is_played_although_newer_ones_are_there(tmp_path: Path) -> None:
    for tag in ("20230404", "20260101"):
        write(tmp_path, f"binance/usdm_bookTicker_btcusdt_{tag}", quote(tag, E=1, T=1))
        write(tmp_path, f"binance/usdm_bookTicker_ethusdt_{tag}", quote(tag, E=1, T=1))
    played = [payloads(track, Channel.QUOTE)[0]["b"] for track in read_tracks(tmp_path)]
    assert played == ["20230404", "20260101"]


def test_other_files_are_no_tracks(tmp_path: Path) -> None:
    write(tmp_path, "binance/spot_bookTicker_btcusdt_20260101", quote("1"))
    for name in (
        "binance/spot_control_20260101",
        "binance/spot_control_20260101.sent",
        "binance/spot_aggTrade_altcoins_2021",
        "binance/usdm_depth_0ms_ethusdt_20260101",
        "bybit/v5_control_linear_20260101",
        "bybit/v5_orderbook500_linear_xrpusdt_20260101",
        "bybit/v5_kline1_linear",
    ):
        write(tmp_path, name, {"anything": 1})
    assert [str(track.instrument) for track in read_tracks(tmp_path)] == ["binance:spot:BTCUSDT"]


def test_an_empty_recording_is_no_track(tmp_path: Path) -> None:
    write(tmp_path, "binance/spot_trade_btcusdt_20260101")
    write(tmp_path, "bybit/v5_publicTrade_spot_btcusdt_20260101")
    with refusal(Misconfigured, "no recordings"):
        read_tracks(tmp_path)


def test_quotes_without_any_venue_time_begin_when_they_were_received(tmp_path: Path) -> None:
    write(tmp_path, "binance/spot_bookTicker_btcusdt_20260101", quote("1"), quote("2"))
    (track,) = read_tracks(tmp_path)
    assert track.start_ms == 10**12
    assert [cue.at_s for cue in track.cues] == [0.0, 1.0]


def test_an_aggregate_is_played_as_one_trade_with_its_texts(tmp_path: Path) -> None:
    tail = {"f": 70, "l": 75, "T": 1001, "m": True, "nq": "0.010"}
    rows = [
        {"e": "aggTrade", "E": 1002, "a": a, "s": "BTCUSDT", "p": "28145.10", "q": "0.020"} | tail
        for a in (5, 6)
    ]
    frames = [{"stream": "btcusdt@aggTrade", "data": row} for row in rows]
    write(tmp_path, "binance/usdm_aggTrade_btcusdt_20260101", *frames)
    (track,) = read_tracks(tmp_path)
    first, second = payloads(track, Channel.TRADE)
    assert list(first.items()) == [
        ("e", "trade"),
        ("E", 1002),
        ("T", 1001),
        ("s", "BTCUSDT"),
        ("t", 5),
        ("p", "28145.10"),
        ("q", "0.020"),
        ("X", "MARKET"),
        ("m", True),
    ]
    assert second["t"] == 6
    # Neighbours of one time and price were two aggregates, and stay two.
    assert all(cue.closes for cue in track.cues)


def test_single_trades_are_played_where_both_were_recorded(tmp_path: Path) -> None:
    trade = {"e": "trade", "E": 2, "T": 1, "s": "X", "t": 9, "p": "1", "q": "1", "m": True}
    write(tmp_path, "binance/usdm_trade_xusdt_20260101", {"data": trade})
    write(tmp_path, "binance/usdm_aggTrade_xusdt_20260101", {"data": {}}, {"data": {}})
    (track,) = read_tracks(tmp_path)
    assert payloads(track, Channel.TRADE) == [trade]


def test_level_one_frames_are_played_byte_for_byte(tmp_path: Path) -> None:
    frames = [level("snapshot", [["5", "1"]], [["6", "2"]])] * 2
    write(tmp_path, "bybit/v5_orderbook1_linear_btcusdt_20260101", *frames)
    write(tmp_path, "bybit/v5_orderbook200_linear_btcusdt_20260101", {"not": "read"})
    (track,) = read_tracks(tmp_path)
    recorded = lines(tmp_path / "bybit" / "v5_orderbook1_linear_btcusdt_20260101.jsonl")
    assert [cue.data.decode() for cue in track.cues] == recorded


def test_a_side_that_a_delta_leaves_out_stays(tmp_path: Path) -> None:
    frames = [
        level("delta", [["4", "1"]], []),  # nothing is known of the asks yet
        level("snapshot", [["5", "1"]], [["6", "2"]]),
        level("delta", [["5", "0"], ["4", "3"]], []),
        level("delta", [], [["7", "1"]]),
        level("snapshot", [], [["8", "1"]]),  # an empty book
        level("snapshot", [["3", "1"]], [["8", "1"]]),
    ]
    write(tmp_path, "bybit/v5_orderbook1_spot_btcusdt_20260101", *frames)
    (track,) = read_tracks(tmp_path)
    played = payloads(track, Channel.QUOTE)
    assert [(frame["data"]["b"], frame["data"]["a"]) for frame in played] == [
        ([["5", "1"]], [["6", "2"]]),
        ([["4", "3"]], [["6", "2"]]),
        ([["4", "3"]], [["7", "1"]]),
        ([["3", "1"]], [["8", "1"]]),
    ]
    assert {frame["type"] for frame in played} == {"snapshot"}


def test_a_recording_of_its_own_replaces_one_shared_with_others(tmp_path: Path) -> None:
    def trade(symbol: str, price: str) -> dict[str, Any]:
        return {"topic": f"publicTrade.{symbol}", "ts": 1, "data": [{"p": price}]}

    shared = [trade("BTCUSDT", "1"), trade("ETHUSDT", "2")]
    write(tmp_path, "bybit/v5_publicTrade_linear", *shared)
    write(tmp_path, "bybit/v5_publicTrade_linear_btcusdt_20260101", trade("BTCUSDT", "3"))
    played = {
        str(track.instrument): payloads(track, Channel.TRADE)[0]["data"][0]["p"]
        for track in read_tracks(tmp_path)
    }
    assert played == {"bybit:linear:BTCUSDT": "3", "bybit:linear:ETHUSDT": "2"}


def test_lists_are_read_from_all_pages_and_the_newest_recording_counts(tmp_path: Path) -> None:
    def answer(*rows: tuple[str, str]) -> str:
        infos = [
            {
                "symbol": symbol,
                "baseCoin": symbol,
                "quoteCoin": "USDT",
                "priceFilter": {"tickSize": tick},
                "lotSizeFilter": {"basePrecision": "1"},
            }
            for symbol, tick in rows
        ]
        return json.dumps({"result": {"list": infos}})

    rest = tmp_path / "bybit" / "rest"
    rest.mkdir(parents=True)
    name = "v5_market_instruments-info_spot"
    (rest / f"{name}.json").write_text(answer(("A", "1"), ("GONE", "1")))
    (rest / f"{name}_20260102_page2.json").write_text(answer(("B", "3")))
    (rest / f"{name}_20260102.json").write_text(answer(("A", "3")))
    (rest / f"{name}_20260101_2.json").write_text(answer(("A", "2"), ("B", "2")))
    ticks = {listing.id.symbol: listing.tick for listing in read_listings(tmp_path)}
    assert ticks == {"A": "3", "B": "3", "GONE": "1"}
