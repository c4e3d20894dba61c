import gzip
import json
from decimal import Decimal

import httpx
import pytest

from engine.model.errors import Retryable
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.venues.bybit.instruments import MAX_PAGES, BybitInstruments, parse_page


def linear(symbol: str, **changes: object) -> dict[str, object]:
    return {
        "symbol": symbol, "contractType": "LinearPerpetual", "status": "Trading",
        "baseCoin": symbol[:-4], "quoteCoin": "USDT", "priceFilter": {"tickSize": "0.10"},
        "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.002", "maxMktOrderQty": "500",
                          "maxOrderQty": "1500", "minNotionalValue": "5"}, **changes,
    }  # fmt: skip


def page(*rows: object, cursor: str = "") -> bytes:
    result = {"category": "linear", "list": list(rows), "nextPageCursor": cursor}
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result}).encode()


def served(handler) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(handler))


@pytest.mark.parametrize(("market", "kept", "skipped"), [("linear", 760, 40), ("spot", 557, 0)])
def test_every_recorded_symbol_is_read_or_not_offered(recordings, market, kept, skipped):
    path = recordings / "bybit" / "rest" / f"v5_market_instruments-info_{market}.json.gz"
    body = gzip.decompress(path.read_bytes())
    instruments, left_out, cursor = parse_page(body, Market(market))
    assert len(instruments) == kept
    assert dict(left_out) == ({"not_offered": skipped} if skipped else {})
    assert cursor == ""
    rows = {row["symbol"]: row for row in json.loads(body)["result"]["list"]}
    for each in instruments:
        row = rows[each.id.symbol]
        assert each.trading == (row["status"] == "Trading")
        assert each.tick_size == Decimal(row["priceFilter"]["tickSize"])
        name = "qtyStep" if market == "linear" else "basePrecision"
        assert each.qty_step == Decimal(row["lotSizeFilter"][name])
        assert each.max_market_qty


def test_a_linear_contract_is_read_field_by_field():
    (instrument,), _, _ = parse_page(page(linear("BTCUSDT")), Market.LINEAR)
    assert instrument == Instrument(
        id=InstrumentId("bybit", Market.LINEAR, "BTCUSDT"), base="BTC", quote="USDT",
        tick_size=Decimal("0.1"), qty_step=Decimal("0.001"), min_qty=Decimal("0.002"),
        min_notional=Decimal(5), max_market_qty=Decimal(500), trading=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [
        {"lotSizeFilter": {}}, {"lotSizeFilter": None}, {"priceFilter": {"tickSize": "0"}},
        {"priceFilter": {"tickSize": "abc"}}, {"priceFilter": {"tickSize": "NaN"}},
        {"priceFilter": {"tickSize": "-1"}}, {"symbol": 7},
    ],
)  # fmt: skip
def test_one_odd_symbol_does_not_lose_the_list(odd):
    body = page(linear("AUSDT"), {**linear("BUSDT"), **odd}, "text", linear("CUSDT"))
    instruments, skipped, _ = parse_page(body, Market.LINEAR)
    names = [each.id.symbol for each in instruments]
    assert [names[0], names[-1]] == ["AUSDT", "CUSDT"]
    assert skipped["odd"] + len(instruments) == 4


async def test_pages_are_followed_by_their_cursor():
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        first = "cursor" not in request.url.params
        body = (
            page(linear("AUSDT"), cursor="p%3D2")
            if first
            else page(linear("BUSDT", status="Closed"))
        )
        return httpx.Response(200, content=body)

    async with served(handler) as client:
        loaded = await BybitInstruments("http://venue", client).load(Market.LINEAR)
    assert [(each.id.symbol, each.trading) for each in loaded] == [
        ("AUSDT", True),
        ("BUSDT", False),
    ]
    assert [each.get("cursor") for each in asked] == [None, "p%3D2"]
    assert {each["category"] for each in asked} == {"linear"}


async def test_a_server_that_pages_for_ever_is_given_up():
    count = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return httpx.Response(200, content=page(linear("AUSDT"), cursor="more"))

    async with served(handler) as client:
        with pytest.raises(Retryable, match="pages"):
            await BybitInstruments("http://venue", client).load(Market.LINEAR)
    assert count == MAX_PAGES


@pytest.mark.parametrize(
    "body",
    [
        b"<html>", b"[]", b"\xff",
        b'{"retCode":10006,"retMsg":"Too many visits!"}',
        b'{"retCode":0}',
        b'{"retCode":0,"result":{}}',
    ],
)  # fmt: skip
def test_an_answer_without_a_list_may_be_asked_for_again(body):
    with pytest.raises(Retryable):
        parse_page(body, Market.SPOT)
