import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.problems import Problem
from api.webhook.fields import Draft
from api.webhook.symbols import Defaults, resolve, unknown_symbol
from engine.model.instrument import InstrumentId, Market
from engine.model.signal import Action
from tests.api.attempts import attempt

SPOT_FIRST = Defaults(venues=("bybit", "binance"), venue="bybit", market=Market.SPOT)
LINEAR_FIRST = Defaults(venues=("bybit", "binance"), venue="bybit", market=Market.LINEAR)


def draft(symbol: str, venue: str | None = None, market: str | None = None) -> Draft:
    return Draft(Action.BUY, symbol.upper(), venue, Market(market) if market else None)


@pytest.mark.parametrize(
    ("symbol", "instrument"),
    [
        ("BTCUSDT", "bybit:spot:BTCUSDT"),
        ("btcusdt", "bybit:spot:BTCUSDT"),
        ("BTCUSDT.P", "bybit:linear:BTCUSDT"),
        ("btcusdt.p", "bybit:linear:BTCUSDT"),
        ("BTCUSDTPERP", "bybit:linear:BTCUSDT"),
        ("BYBIT:BTCUSDT", "bybit:spot:BTCUSDT"),
        ("BYBIT:BTCUSDT.P", "bybit:linear:BTCUSDT"),
        ("BINANCE:BTCUSDT", "binance:spot:BTCUSDT"),
        ("BINANCE:BTCUSDT.P", "binance:linear:BTCUSDT"),
        ("BINANCE:BTCUSDTPERP", "binance:linear:BTCUSDT"),
        ("BINANCE_DL:ETHUSDT.P", "binance:linear:ETHUSDT"),
        ("BYBIT_DLY:ETHUSDT", "bybit:spot:ETHUSDT"),
        ("BYBIT:1000PEPEUSDT.P", "bybit:linear:1000PEPEUSDT"),
        # Only the ending counts, and only once.
        ("PERPUSDT", "bybit:spot:PERPUSDT"),
        ("BTC.PUSDT", "bybit:spot:BTC.PUSDT"),
        ("BTCUSDTPERP.P", "bybit:linear:BTCUSDTPERP"),
    ],
)
def test_tradingview_spellings_name_one_market(symbol: str, instrument: str) -> None:
    assert str(resolve(draft(symbol), SPOT_FIRST)) == instrument


def test_the_market_is_the_ending_then_the_body_then_the_default() -> None:
    assert resolve(draft("BTCUSDT.P"), SPOT_FIRST).market is Market.LINEAR
    assert resolve(draft("BTCUSDT", market="linear"), SPOT_FIRST).market is Market.LINEAR
    assert resolve(draft("BTCUSDT", market="spot"), LINEAR_FIRST).market is Market.SPOT
    assert resolve(draft("BTCUSDT.P", market="linear"), SPOT_FIRST).market is Market.LINEAR
    assert resolve(draft("BTCUSDT"), LINEAR_FIRST).market is Market.LINEAR


def test_the_venue_is_the_body_then_the_prefix_then_the_default() -> None:
    assert resolve(draft("BTCUSDT", venue="binance"), SPOT_FIRST).venue == "binance"
    assert resolve(draft("BINANCE:BTCUSDT", venue="binance"), SPOT_FIRST).venue == "binance"
    assert resolve(draft("BTCUSDT"), SPOT_FIRST).venue == "bybit"


@pytest.mark.parametrize(
    ("named", "field", "words"),
    [
        (draft("BTCUSDT.P", market="spot"), "market", "contradicts"),
        (draft("BTCUSDTPERP", market="spot"), "market", "contradicts"),
        (draft("BINANCE:BTCUSDT", venue="bybit"), "venue", "contradicts"),
        (draft("BITSTAMP:BTCUSD"), "symbol", "unknown"),
        (draft(":BTCUSDT"), "symbol", "unknown"),
        (draft("OKX:BTCUSDT"), "symbol", "not in VENUES"),
        (draft("BTCUSDT", venue="okx"), "venue", "not in VENUES"),
        (draft("BTCUSDT", venue="kraken"), "venue", "served are bybit, binance"),
        (draft("BYBIT:"), "symbol", "no symbol"),
        (draft(".P"), "symbol", "no symbol"),
        (draft("PERP"), "symbol", "no symbol"),
        (draft("BYBIT:LINEAR:BTCUSDT"), "symbol", "no symbol"),
        (draft("BTC USDT"), "symbol", "no symbol"),
    ],
)
def test_what_is_unknown_not_served_or_contradictory_is_refused(
    named: Draft, field: str, words: str
) -> None:
    with pytest.raises(Problem) as caught:
        resolve(named, SPOT_FIRST)
    assert caught.value.status == 422
    (error,) = caught.value.errors
    assert error.field == field
    assert words in error.remedy


def test_an_unlisted_symbol_is_told_with_near_names() -> None:
    wanted = InstrumentId("bybit", Market.LINEAR, "BTCUSD")
    (error,) = unknown_symbol(wanted, ["BTCUSDT", "BTCUSDC"]).errors
    assert error.field == "symbol"
    assert "'BTCUSD' is not listed on bybit linear" in error.remedy
    assert "BTCUSDT or BTCUSDC" in error.remedy
    assert "spelling" in unknown_symbol(wanted, []).errors[0].remedy


@given(st.text(min_size=1, max_size=20))
def test_any_symbol_is_one_instrument_or_a_422(symbol: str) -> None:
    found = attempt(lambda: resolve(draft(symbol), SPOT_FIRST))
    if isinstance(found, Problem):
        assert found.status == 422
    else:
        assert found.symbol
        assert ":" not in found.symbol
