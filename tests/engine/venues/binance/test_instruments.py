import gzip
import json
from decimal import Decimal

import httpx
import pytest

from engine.model.errors import Retryable
from engine.model.instrument import Market
from engine.venues.binance.instruments import BinanceInstruments, parse


def lot(kind: str, step: str, low: str, high: str) -> dict[str, str]:
    return {"filterType": kind, "stepSize": step, "minQty": low, "maxQty": high}


def spot(*filters: dict[str, object], **changes: object) -> dict[str, object]:
    return {
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "isSpotTradingAllowed": True,
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01"}, *filters], **changes,
    }  # fmt: skip


def usdm(**changes: object) -> dict[str, object]:
    filters = ({"filterType": "MIN_NOTIONAL", "notional": "5"}, lot("LOT_SIZE", "0.1", "0.1", "9"))
    return spot(*filters, contractType="PERPETUAL", marginAsset="USDT") | changes


def read(row: object, market: Market = Market.SPOT):
    instruments, skipped = parse(json.dumps({"symbols": [row]}).encode(), market)
    return instruments[0] if instruments else dict(skipped)


def test_every_recorded_spot_symbol_is_read(recordings):
    path = recordings / "binance" / "rest" / "spot_exchangeInfo.json.gz"
    body = gzip.decompress(path.read_bytes())
    instruments, skipped = parse(body, Market.SPOT)
    assert len(instruments) == 1695
    assert not skipped
    rows = {row["symbol"]: row for row in json.loads(body)["symbols"]}
    for each in instruments:
        filters = {f["filterType"]: f for f in rows[each.id.symbol]["filters"]}
        assert each.qty_step == Decimal(filters["LOT_SIZE"]["stepSize"])
        assert each.min_notional == Decimal(filters["MIN_NOTIONAL"]["minNotional"])
    eth = next(each for each in instruments if each.id.symbol == "ETHBTC")
    assert eth.max_market_qty == Decimal("873.90727776")


def test_every_recorded_perpetual_is_read(recordings):
    body = (recordings / "binance" / "rest" / "usdm_exchangeInfo.json").read_bytes()
    instruments, skipped = parse(body, Market.LINEAR)
    assert len(instruments) == 119
    assert dict(skipped) == {"not_offered": 3}
    assert {each.quote for each in instruments} == {"USDT", "BUSD"}
    btc = next(each for each in instruments if each.id.symbol == "BTCUSDT")
    assert (btc.qty_step, btc.min_qty, btc.min_notional) == (Decimal("0.001"), Decimal("0.001"), 5)


def test_both_lot_filters_hold_for_market_orders():
    instrument = read(
        spot(lot("LOT_SIZE", "0.01", "0.05", "100"), lot("MARKET_LOT_SIZE", "0.1", "0.2", "30"))
    )
    assert (instrument.qty_step, instrument.min_qty) == (Decimal("0.1"), Decimal("0.2"))
    assert instrument.max_market_qty == 30
    instrument = read(
        spot(lot("LOT_SIZE", "0.01", "0.05", "20"), lot("MARKET_LOT_SIZE", "0", "0", "30"))
    )
    assert (instrument.qty_step, instrument.min_qty) == (Decimal("0.01"), Decimal("0.05"))
    assert instrument.max_market_qty == 20
    assert read(spot(lot("LOT_SIZE", "0.01", "0.05", "0"))).max_market_qty is None


@pytest.mark.parametrize(
    ("notional", "smallest"),
    [
        ({"filterType": "NOTIONAL", "minNotional": "5", "applyMinToMarket": True}, 5),
        ({"filterType": "NOTIONAL", "minNotional": "5", "applyMinToMarket": False}, 0),
        ({"filterType": "MIN_NOTIONAL", "minNotional": "10", "applyToMarket": True}, 10),
        ({"filterType": "OTHER"}, 0),
    ],
)
def test_the_smallest_value_is_that_of_market_orders(notional, smallest):
    assert read(spot(lot("LOT_SIZE", "1", "1", "9"), notional)).min_notional == smallest


@pytest.mark.parametrize(
    ("changes", "trading"),
    [({}, True), ({"status": "BREAK"}, False), ({"isSpotTradingAllowed": False}, False)],
)
def test_the_status_becomes_the_trading_flag(changes, trading):
    assert read(spot(lot("LOT_SIZE", "1", "1", "9"), **changes)).trading is trading


@pytest.mark.parametrize(
    "changes",
    [{"contractType": "CURRENT_QUARTER"}, {"quoteAsset": "BTC"}, {"marginAsset": "BTC"}],
)
def test_only_perpetuals_in_a_stable_quote_are_offered(changes):
    assert read(usdm(), Market.LINEAR).id.symbol == "BTCUSDT"
    assert read(usdm(**changes), Market.LINEAR) == {"not_offered": 1}


@pytest.mark.parametrize(
    "row",
    [
        spot(), spot(lot("LOT_SIZE", "0", "1", "9")), spot(lot("LOT_SIZE", "x", "1", "9")),
        spot(lot("LOT_SIZE", "1", "", "9")), usdm(filters=None), 7, {},
    ],
)  # fmt: skip
def test_an_odd_symbol_is_skipped_and_counted(row):
    assert read(row) == {"odd": 1}


async def test_each_market_has_its_own_address():
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url).split("?")[0])
        return httpx.Response(200, json={"symbols": [usdm()]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        source = BinanceInstruments("http://spot", "http://usdm", client)
        await source.load(Market.SPOT)
        await source.load(Market.LINEAR)
    assert asked == ["http://spot/api/v3/exchangeInfo", "http://usdm/fapi/v1/exchangeInfo"]


def test_an_answer_without_a_list_may_be_asked_for_again():
    with pytest.raises(Retryable):
        parse(b'{"code":-1003}', Market.SPOT)
