"""Instruments and how they are written."""

import pytest

from engine.model.instrument import InstrumentId, Market


@pytest.mark.parametrize("text", ["bybit:linear:BTCUSDT", "BYBIT:Linear:btcusdt"])
def test_an_instrument_is_read_as_it_is_written(text: str) -> None:
    instrument = InstrumentId.parse(text)
    assert instrument == InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
    assert str(instrument) == "bybit:linear:BTCUSDT"


@pytest.mark.parametrize("text", ["BTCUSDT", "a:b", "bybit::BTCUSDT", "a:spot:b:c", "a:margin:B"])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"margin|venue:market:symbol"):
        InstrumentId.parse(text)
