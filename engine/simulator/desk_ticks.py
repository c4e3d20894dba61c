"""Events of the simulated market as the prices that the venue model takes."""

from engine.model.ticks import MarkTick, QuoteTick, Tick, TradeTick
from engine.simulator.market import next_funding_ms
from engine.simulator.market_events import MARKET_SOURCE, Mark, MarketEvent, Prints, Quote, Ticker


def ticks_of(event: MarketEvent, now_ns: int) -> list[Tick]:
    """Return the prices of an event; ``now_ns`` is local monotonic time."""
    key = event.instrument
    if isinstance(event, Quote):
        return [quote_tick(event, now_ns)]
    if isinstance(event, Mark):
        rate, next_ms = float(event.funding_rate), event.next_funding_ms
        return [MarkTick(key, float(event.mark), rate, next_ms, event.sent_ms, now_ns)]
    if isinstance(event, Ticker):
        return _ticker_ticks(event, now_ns)
    if isinstance(event, Prints):
        market = [each for each in event.prints if each.source == MARKET_SOURCE]
        return [TradeTick(key, float(p.price), p.time_ms, p.number, now_ns) for p in market]
    return []


def _ticker_ticks(event: Ticker, now_ns: int) -> list[Tick]:
    """A recorded ticker tells what changed; its funding time is the simulator's own."""
    mark, rate = event.fields.get("markPrice"), event.fields.get("fundingRate")
    if mark is None:
        return []
    funding, next_ms = (None, 0) if rate is None else (float(rate), next_funding_ms(event.sent_ms))
    return [MarkTick(event.instrument, float(mark), funding, next_ms, event.sent_ms, now_ns)]


def quote_tick(event: Quote, now_ns: int) -> QuoteTick:
    """Return a quote as a price received at ``now_ns``, local monotonic time."""
    prices = (float(event.bid), float(event.ask), float(event.bid_qty), float(event.ask_qty))
    return QuoteTick(event.instrument, *prices, event.time_ms, event.update, now_ns)
