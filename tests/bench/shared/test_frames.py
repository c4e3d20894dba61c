"""Frames that the product reads as prices, with the times and the crossings they should have."""

import json

import msgspec

from bench.shared.frames import END_PRICE, PRICE, blasted, crosses, paced, prices, stamped
from engine.venues.bybit.wire import OPENING, TradeFrame

decode = msgspec.json.Decoder(TradeFrame, strict=False).decode


def payload(wire: bytes) -> bytes:
    """What the frame's header says it carries, and nothing is left over."""
    assert wire[:2] == bytes((0x81, 126))
    assert int.from_bytes(wire[2:4], "big") == len(wire) - 4
    return wire[4:]


def test_a_blast_ends_with_its_only_frame_at_the_end_price() -> None:
    frames = list(blasted(300, 1_000))
    prices = [decode(frame).data[0].p for frame in frames]
    assert len(frames) == 300
    assert prices[-1] == END_PRICE
    assert max(prices[:-1]) < PRICE + 51
    assert all(frame.startswith(OPENING) for frame in frames)
    assert [decode(frame).data[0].seq for frame in frames] == sorted(
        {decode(frame).data[0].seq for frame in frames}
    )


def test_both_venues_formats_carry_the_same_prices() -> None:
    bybit = [decode(frame).data[0].p for frame in blasted(300, 1_000)]
    binance = [json.loads(frame) for frame in blasted(300, 1_000, "binance")]
    assert bybit == [float(each["p"]) for each in binance] == list(prices(300))
    assert [each["e"] for each in binance] == ["trade"] * 300
    assert len({each["t"] for each in binance}) == 300


def test_a_paced_frame_carries_the_time_of_its_write() -> None:
    wire = [stamped(parts, 12_345 + at) for at, parts in enumerate(paced(60, 20))]
    rows = [decode(payload(each)).data[0] for each in wire]
    assert [row.T for row in rows] == [12_345 + at for at in range(60)]
    assert json.loads(payload(wire[0]))["data"][0]["s"] == "BTCUSDT"


def test_every_so_many_th_frame_crosses_one_more_whole_price() -> None:
    rows = [decode(payload(stamped(parts, 1))).data[0] for parts in paced(60, 20)]
    above = {at: row.p for at, row in enumerate(rows) if row.p > PRICE}
    assert above == {19: PRICE + 1, 39: PRICE + 2, 59: PRICE + 3}
    assert [at for at in range(60) if crosses(at, 20)] == list(above)
