from decimal import Decimal

import pytest

from engine.model.errors import Rejected
from engine.model.instrument import Market
from engine.simulator.dialects import binance_listings, bybit_listings
from engine.simulator.market import MarketPlace, next_funding_ms, unpin
from engine.simulator.market_events import (
    Aggregate,
    Mark,
    MarketEvent,
    Origin,
    Print,
    Prints,
    Quote,
    Ticker,
)
from engine.simulator.market_listings import Listings
from engine.simulator.market_pace import VenueTime
from tests.engine.simulator.rig import FakeClock, ids

USDM = ids("binance:linear:BTCUSDT")
LINEAR = ids("bybit:linear:BTCUSDT")


@pytest.fixture
def heard() -> list[MarketEvent]:
    return []


@pytest.fixture
def place(heard: list[MarketEvent]) -> MarketPlace:
    listings = Listings([*bybit_listings.built_in(), *binance_listings.built_in()])
    market = MarketPlace(listings, VenueTime(FakeClock()))
    for venue in ("bybit", "binance"):
        for kind in Market:
            market.listen(venue, kind, heard.append)
    return market


def prints(number: int, price: str, *, source: str = "MARKET", closes: bool = True) -> Prints:
    print_ = Print(str(number), number, price, "0.5", True, 1000, 0, source)
    return Prints(USDM, Origin.RECORDED, (print_,), 1001, closes=closes)


def test_a_scripted_price_is_a_trade_a_quote_and_a_mark(
    place: MarketPlace, heard: list[MarketEvent]
) -> None:
    assert place.script(LINEAR, Decimal("70000.04")) == Decimal("70000.0")
    trade, quote, mark = heard
    assert isinstance(trade, Prints)
    assert trade.prints[0].price == "70000.00"
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask) == ("70000.00", "70000.10")
    assert isinstance(mark, Mark)
    assert mark.mark == "70000.00"
    assert {event.origin for event in heard} == {Origin.SCRIPTED}


def test_a_scripted_spot_price_has_no_mark(place: MarketPlace, heard: list[MarketEvent]) -> None:
    place.script(ids("bybit:spot:BTCUSDT"), Decimal(70000))
    assert [type(event) for event in heard] == [Prints, Quote]


def test_the_taker_of_a_scripted_trade_follows_the_direction(
    place: MarketPlace, heard: list[MarketEvent]
) -> None:
    for price in (100, 101, 99):
        place.script(LINEAR, Decimal(price))
    sides = [event.prints[0].taker_buys for event in heard if isinstance(event, Prints)]
    assert sides == [True, True, False]


def test_neighbouring_trades_become_one_aggregate(
    place: MarketPlace, heard: list[MarketEvent]
) -> None:
    place.publish(prints(1, "10", closes=False))
    place.publish(prints(2, "10"))
    place.publish(prints(3, "11"))
    found = [event for event in heard if isinstance(event, Aggregate)]
    assert [(a.first, a.last, a.qty) for a in found] == [(1, 2, "1.0"), (3, 3, "0.5")]
    assert found[1].number == found[0].number + 1
    assert list(place.state(USDM).history.aggregates) == found


def test_an_insurance_fund_print_moves_no_price_and_is_in_no_aggregate(
    place: MarketPlace, heard: list[MarketEvent]
) -> None:
    place.publish(prints(1, "10"))
    place.publish(prints(2, "99", source="INSURANCE_FUND"))
    assert place.state(USDM).last == "10"
    assert len(place.state(USDM).history.trades) == 1
    assert [type(event) for event in heard] == [Prints, Aggregate, Prints]


def test_an_open_aggregate_is_finished_before_a_scripted_trade(
    place: MarketPlace, heard: list[MarketEvent]
) -> None:
    place.publish(prints(1, "10", closes=False))
    place.script(USDM, Decimal(20))
    found = [event for event in heard if isinstance(event, Aggregate)]
    assert [a.price for a in found] == ["10", "20.00"]


def test_marks_follow_the_touch_unless_a_script_pins_them(place: MarketPlace) -> None:
    state = place.state(USDM)
    assert not state.derives_mark
    place.derive_mark(state)
    assert state.mark is None
    place.script(USDM, Decimal(20))
    assert state.mark is not None
    assert state.mark.mark == "20.00000000"
    unpin(state)
    place.derive_mark(state)
    assert state.mark.mark == "20.05000000"
    assert state.derives_mark


def test_recorded_tickers_carry_the_mark(place: MarketPlace) -> None:
    state = place.state(LINEAR)
    state.tickers_recorded = True
    fields = {"markPrice": "7.5", "fundingRate": "0.0002"}
    place.publish(Ticker(LINEAR, Origin.RECORDED, fields, True, 1, 5))
    assert state.mark is not None
    assert (state.mark.mark, state.mark.funding_rate) == ("7.5", "0.0002")
    place.publish(Ticker(LINEAR, Origin.RECORDED, {"lastPrice": "8"}, False, 2, 6))
    assert state.mark.mark == "7.5"
    assert not state.derives_mark


def test_unknown_instruments_are_refused(place: MarketPlace) -> None:
    with pytest.raises(Rejected, match="NOPEUSDT"):
        place.state(ids("bybit:linear:NOPEUSDT"))
    assert place.find(ids("bybit:linear:NOPEUSDT")) is None


def test_trade_ids_are_uuids_on_bybit_linear_and_numbers_elsewhere(
    place: MarketPlace, heard: list[MarketEvent]
) -> None:
    place.script(LINEAR, Decimal(1))
    place.script(ids("bybit:spot:BTCUSDT"), Decimal(1))
    names = [event.prints[0].id for event in heard if isinstance(event, Prints)]
    assert names[0].count("-") == 4
    assert names[1].isdigit()


def test_funding_is_due_every_eight_hours() -> None:
    hour_ms = 3_600_000
    assert next_funding_ms(0) == 8 * hour_ms
    assert next_funding_ms(8 * hour_ms) == 16 * hour_ms
