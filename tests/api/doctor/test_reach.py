"""Whether the public addresses answer, and what time it is there."""

import json
import time

from api.doctor.findings import Finding, Grade
from api.doctor.reach import examine_addresses
from engine.clock import SystemClock
from engine.venues.urls import BinanceUrls, BybitUrls, VenueUrls
from tests.api.doctor.servers import serving

NOBODY = "http://127.0.0.1:9"


async def examined(venue: str, urls: VenueUrls) -> dict[tuple[str, str], Finding]:
    rows = await examine_addresses(venue, urls, SystemClock())
    return {(row.where, row.check): row for row in rows}


def at(ahead_s: float) -> bytes:
    """The time as Bybit tells it in every answer."""
    now_ms = int((time.time() + ahead_s) * 1000)
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {}, "time": now_ms}).encode()


async def test_bybit_is_asked_once_for_both_markets() -> None:
    with serving(lambda path: (200, at(0)) if path == "/v5/market/time" else (404, b"")) as url:
        rows = await examined("bybit", BybitUrls(url, NOBODY, NOBODY))
    assert {row.grade for row in rows.values()} == {Grade.OK}
    assert rows.keys() == {("bybit spot and linear", check) for check in ("reachable", "clock")}


async def test_a_clock_that_is_off_is_told_with_the_way_to_set_it() -> None:
    with serving(lambda _: (200, at(5))) as url:
        rows = await examined("bybit", BybitUrls(url, NOBODY, NOBODY))
    row = rows["bybit spot and linear", "clock"]
    assert row.grade is Grade.WARNING
    assert "behind" in row.detail
    assert "time synchronisation" in row.remedy


async def test_of_binances_two_addresses_each_is_asked() -> None:
    def answer(path: str) -> tuple[int, bytes]:
        if path == "/api/v3/time":
            return 200, json.dumps({"serverTime": int(time.time() * 1000)}).encode()
        return 503, b"{}"

    with serving(answer) as url:
        rows = await examined("binance", BinanceUrls(url, NOBODY, NOBODY, url, NOBODY))
    assert rows["binance spot", "reachable"].grade is Grade.OK
    bad = rows["binance linear", "reachable"]
    assert bad.grade is Grade.BAD
    assert "/fapi/v1/time" in bad.detail
    assert "status page" in bad.remedy


async def test_an_answer_that_is_not_the_venues_is_bad() -> None:
    with serving(lambda _: (200, b"<html>")) as url:
        rows = await examined("bybit", BybitUrls(url, NOBODY, NOBODY))
    assert [row.grade for row in rows.values()] == [Grade.BAD]
