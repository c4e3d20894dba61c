import asyncio
from decimal import Decimal

from engine.model.instrument import Market
from engine.simulator.dialects import bybit_listings
from engine.simulator.market import MarketPlace
from engine.simulator.market_listings import Listings
from engine.simulator.market_pace import Pace, VenueTime
from engine.simulator.market_seeded import START_PRICES, SeededSource, Walk
from tests.engine.simulator.rig import FakeClock, ids

LISTINGS = Listings(bybit_listings.built_in())
BTC = ids("bybit:linear:BTCUSDT")


def walk(seed: int, symbol: str = "BTCUSDT") -> Walk:
    listing = LISTINGS.get(ids(f"bybit:linear:{symbol}"))
    assert listing is not None
    return Walk(listing, seed, START_PRICES[symbol])


def test_the_same_seed_walks_the_same_path() -> None:
    one, other = walk(7), walk(7)
    steps = [(one.wait_s(), one.step()) for _ in range(500)]
    assert steps == [(other.wait_s(), other.step()) for _ in range(500)]
    different = walk(8)
    assert steps[:5] != [(different.wait_s(), different.step()) for _ in range(5)]


def test_waits_do_not_change_the_path() -> None:
    one, other = walk(7), walk(7)
    for _ in range(10):
        one.wait_s()
    assert [one.step() for _ in range(20)] == [other.step() for _ in range(20)]


def test_steps_stay_on_the_tick_and_near_the_start() -> None:
    for symbol, start in START_PRICES.items():
        listing = LISTINGS.get(ids(f"bybit:linear:{symbol}"))
        assert listing is not None
        path = walk(3, symbol)
        steps = [path.step() for _ in range(2000)]
        assert steps[0].taker_buys is not None
        assert all(step.bid % listing.tick_size == 0 and step.qty > 0 for step in steps)
        assert all(abs(step.bid / start - 1) < Decimal("0.05") for step in steps)
        assert len({step.bid for step in steps}) > 10


def test_a_walk_goes_on_from_where_a_script_put_it() -> None:
    path = walk(1)
    path.move_to(Decimal(1000))
    assert abs(path.step().bid - 1000) < 5


async def test_a_source_is_silent_while_a_script_owns_the_price() -> None:
    clock = FakeClock()
    time = VenueTime(clock)
    place = MarketPlace(LISTINGS, time)
    listing = LISTINGS.get(BTC)
    assert listing is not None
    source = SeededSource(place, Pace(time, 1000.0), listing, 1)
    heard: list[object] = []
    place.listen("bybit", Market.LINEAR, heard.append)
    place.state(BTC).scripted = True
    running = asyncio.create_task(source.run())
    clock.advance_ms(2)
    await asyncio.sleep(0.02)
    assert heard == []
    place.state(BTC).scripted = False
    clock.advance_ms(20)
    await asyncio.sleep(0.05)
    running.cancel()
    assert len(heard) > 20
    source.release(place.state(ids("bybit:linear:ETHUSDT")))
