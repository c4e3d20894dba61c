from engine.model.events import PricesChecked
from engine.model.exits import Side
from engine.model.instrument import InstrumentId, Market
from engine.model.ticks import MarkTick, PriceSource, QuoteTick, TradeTick
from engine.simulation.history import Told
from engine.simulation.oracle.prices import price_of, surely_believed, track_of, with_checked

BTC = InstrumentId("bybit", Market.LINEAR, "BTCUSDT")
MS = 1_000_000


def trade(at_ms: int, price: float) -> Told:
    return Told(at_ms * MS, 0, TradeTick(BTC, price, at_ms, at_ms, at_ms * MS), True)


def believed(*told: Told) -> list[tuple[int, float]]:
    places = [place for place, each in enumerate(told) if isinstance(each.event, TradeTick)]
    sure = surely_believed(track_of(told, places, Side.LONG), told, BTC)
    return [(at_ns // MS, price) for at_ns, price in zip(sure.at_ns, sure.price, strict=True)]


def test_calm_prices_are_believed_as_they_come():
    assert believed(trade(1, 100.0), trade(2, 81.0)) == [(1, 100.0), (2, 81.0)]


def test_a_jump_is_believed_when_a_later_price_stays_there():
    assert believed(trade(1, 100.0), trade(2, 50.0), trade(60, 51.0)) == [
        (1, 100.0), (60, 50.0), (60, 51.0),
    ]  # fmt: skip


def test_a_jump_that_comes_back_or_is_repeated_too_soon_is_not():
    assert believed(trade(1, 100.0), trade(2, 50.0), trade(60, 99.0)) == [(1, 100.0), (60, 99.0)]
    assert believed(trade(1, 100.0), trade(2, 50.0), trade(40, 51.0)) == [(1, 100.0)]


def test_another_source_that_stays_makes_a_jump_unsure():
    near = MarkTick(BTC, 99.0, None, 0, 0, 0)
    rest = PricesChecked(BTC, 0, 0, last=50.0, bid=99.0, ask=99.1)
    for witness in (near, rest):
        told = (trade(1, 100.0), trade(2, 50.0), Told(3, 0, witness, True), trade(60, 51.0))
        assert believed(*told) == [(1, 100.0)]
    agrees = Told(3, 0, PricesChecked(BTC, 0, 0, last=50.0), True)
    assert len(believed(trade(1, 100.0), trade(2, 50.0), agrees, trade(60, 51.0))) == 3


def test_longs_are_compared_with_the_bid_and_shorts_with_the_ask():
    quote = QuoteTick(BTC, 1.0, 2.0, 1.0, 1.0, 0, 0, 0)
    assert (price_of(quote, Side.LONG), price_of(quote, Side.SHORT)) == (1.0, 2.0)


def test_an_answer_by_rest_stands_where_it_came():
    checked = PricesChecked(BTC, 0, 0, last=1.0, bid=2.0, ask=3.0)
    told = (trade(1, 100.0), Told(2, 0, checked, True), trade(3, 101.0))
    track = track_of(told, (0, 2), Side.LONG)
    for source, side, price in (
        (PriceSource.LAST, Side.LONG, 1.0),
        (PriceSource.BOOK, Side.LONG, 2.0),
        (PriceSource.BOOK, Side.SHORT, 3.0),
    ):
        found = with_checked(track, told, (1,), source, side)
        assert (found.index, found.price) == ([0, 1, 2], [100.0, price, 101.0])
    assert with_checked(track, told, (1,), PriceSource.MARK, Side.LONG) == track
