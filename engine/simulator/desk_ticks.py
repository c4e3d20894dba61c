"""Events of the simulated market as the prices that the venue model takes."""

from engine.model.ticks import MarkTick, QuoteTick, Tick, TradeTick
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
        mark = event.fields.get("markPrice")
        return [] if mark is None else [MarkTick(key, float(mark), None, 0, event.sent_ms, now_ns)]
    if isinstance(event, Prints):
        market = [each for each in event.prints if each.source == MARKET_SOURCE]
        return [TradeTick(key, float(p.price), p.time_ms, p.number, now_ns) for p in market]
    return []


def quote_tick(event: Quote, now_ns: int) -> QuoteTick:
    """Return a quote as a price received at ``now_ns``, local monotonic time."""
    prices = (float(event.bid), float(event.ask), float(event.bid_qty), float(event.ask_qty))
    return QuoteTick(event.instrument, *prices, event.time_ms, event.update, now_ns)
