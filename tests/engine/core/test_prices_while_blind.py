"""Prices that are asked for while the stream brings none."""

from decimal import Decimal

from engine.core.belief import PriceName
from engine.model.exits import AtPrice
from engine.model.ticks import PriceSource
from tests.engine.core.gap_rig import GapRig
from tests.engine.core.rig import D


def blind(**fields: object) -> GapRig:
    """A long from 100 with a stop at 95, all sources at 100, and no prices any more."""
    rig = GapRig()
    rig.open("buy", **({"stop_loss": AtPrice(D(95))} | fields))
    rig.quote(99.5, 100.5)
    rig.mark(100)
    rig.after(1000)
    rig.lose()
    rig.after(1000)
    return rig


def closed_at(rig: GapRig) -> Decimal | None:
    exits = rig.exits()
    return exits[0].trigger_price if exits else None


def test_an_answer_takes_the_place_of_the_stream():
    rig = blind()
    rig.rest(last=95.0)
    (order,) = rig.exits()
    assert (order.reason, order.trigger_price) == ("stop_loss", D(95))
    assert order.trigger_received_ns == rig.monotonic_ns


def test_each_of_its_prices_goes_to_its_source():
    rig = blind(trigger=PriceSource.MARK)
    rig.rest(last=90.0, bid=90.0, ask=90.5)
    assert closed_at(rig) is None
    rig.rest(mark=94.0)
    assert closed_at(rig) == D(94)
    rig = blind(trigger=PriceSource.BOOK)
    rig.rest(last=90.0, mark=90.0)
    assert closed_at(rig) is None
    rig.rest(bid=94.5, ask=95.5)
    assert closed_at(rig) == D("94.5")


def test_it_moves_what_prices_move():
    rig = blind()
    rig.rest(last=103.0, bid=102.5, ask=103.5, mark=103.1)
    prices = [rig.channel(name).price for name in PriceName]
    assert prices == [103.0, 103.1, 102.5, 103.5]


def test_half_a_quote_is_none():
    rig = blind(trigger=PriceSource.BOOK)
    rig.rest(bid=90.0)
    rig.rest(ask=110.0)
    assert closed_at(rig) is None
    assert rig.channel(PriceName.BID).price == 99.5


def test_with_prices_arriving_an_answer_only_speaks_for_or_against_doubts():
    rig = blind()
    rig.resume()
    rig.rest(last=90.0, bid=90.0, ask=90.5, mark=90.0)
    assert closed_at(rig) is None


def test_an_answer_is_held_like_any_price_and_confirmed_by_the_quotes_of_the_next():
    rig = blind(stop_loss=AtPrice(D(70)))
    rig.rest(last=60.0, bid=60.5, ask=61.0)
    assert closed_at(rig) is None
    assert rig.view.doubted
    rig.after(1000)
    rig.rest(last=60.0, bid=60.5, ask=61.0)
    assert closed_at(rig) == D(60)


def test_the_trade_that_is_in_doubt_does_not_confirm_itself_when_it_is_asked_for_again():
    rig = blind(stop_loss=AtPrice(D(70)))
    rig.rest(last=60.0)
    rig.after(1000)
    rig.rest(last=60.0)
    assert closed_at(rig) is None
    rig.rest(last=60.0, bid=99.5, ask=100.5)
    assert not rig.view.doubted
    assert closed_at(rig) is None


def test_an_answer_about_what_is_not_watched_changes_nothing():
    rig = GapRig()
    assert rig.rest(last=60.0) == ()
