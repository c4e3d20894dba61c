"""What is traded in a simulated lifetime: instruments of both venues with filters of many kinds."""

import random
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from engine.model.instrument import Instrument, InstrumentId, Market

SLICED_SHARE = 1 / 3
"""Of the lifetimes: those in which closing a position takes several orders."""

COUNTS = (2, 3, 3, 3, 4, 4, 4)
QUOTE = "USDT"
SMALL_VALUE = 40
"""Quote asset; a least quantity is worth less, unless one step is worth more."""


class Template(Struct, frozen=True):
    """A market as a venue might list it; of ``ticks`` and ``steps`` one each is drawn.

    ``start`` is about what it costs, in quote asset.
    """

    venue: str
    market: Market
    base: str
    start: str
    ticks: tuple[str, ...]
    steps: tuple[str, ...]
    min_notionals: tuple[str, ...] = ("5", "10")


class Listed(Struct, frozen=True):
    """An instrument of a lifetime.

    ``start`` is what it costs at first, in quote asset; ``is_sliced`` tells that its largest market
    order is hardly larger than an entry.
    """

    instrument: Instrument
    start: Decimal
    is_sliced: bool = False


SPOT, LINEAR = Market.SPOT, Market.LINEAR
BYBIT, BINANCE = "bybit", "binance"

TEMPLATES = (
    Template(BYBIT, LINEAR, "BTC", "65000", ("0.1", "0.5"), ("0.001", "0.0001")),
    Template(BYBIT, LINEAR, "ETH", "3200", ("0.01", "0.05"), ("0.01", "0.001")),
    Template(BYBIT, LINEAR, "SOL", "150", ("0.01", "0.001"), ("0.1", "0.01")),
    Template(BYBIT, LINEAR, "1000PEPE", "0.0112", ("0.0000001", "0.000001"), ("100", "10")),
    Template(BYBIT, SPOT, "BTC", "65000", ("0.1", "0.01"), ("0.000001", "0.00001"), ("5", "1")),
    Template(BYBIT, SPOT, "XRP", "2.2", ("0.0001", "0.0005"), ("0.01", "0.1"), ("5", "1")),
    Template(BINANCE, LINEAR, "BTC", "64800", ("0.1", "0.01"), ("0.0001", "0.00001"), ("20", "5")),
    Template(BINANCE, LINEAR, "ETH", "3190", ("0.01", "0.05"), ("0.001", "0.01"), ("20", "5")),
    Template(BINANCE, LINEAR, "DOGE", "0.18", ("0.00001", "0.00005"), ("1", "5"), ("5",)),
    Template(BINANCE, SPOT, "ETH", "3195", ("0.01", "0.1"), ("0.0001", "0.001")),
    Template(BINANCE, SPOT, "SOL", "151", ("0.01", "0.05"), ("0.001", "0.01")),
    Template(BINANCE, SPOT, "SHIB", "0.00002140", ("0.00000001",), ("1", "10"), ("5", "1")),
)


def draw_instruments(seed: int, entry_value: Decimal) -> tuple[Listed, ...]:
    """Draw the instruments of a lifetime; in a third of them one needs slices.

    Args:
        entry_value: what an entry is worth, in quote asset.
    """
    draw = random.Random(f"{seed}/instruments")
    templates = draw.sample(TEMPLATES, draw.choice(COUNTS))
    sliced = draw.random() < SLICED_SHARE
    listed = [_listed(draw, each) for each in templates]
    if sliced:
        number = draw.randrange(len(listed))
        listed[number] = _in_slices(draw, listed[number], entry_value)
    return tuple(listed)


def _listed(draw: random.Random, template: Template) -> Listed:
    tick, step = Decimal(draw.choice(template.ticks)), Decimal(draw.choice(template.steps))
    start = Decimal(template.start) * draw.randint(800, 1250) / 1000
    steps = draw.choice((1, 1, 2, 5))
    symbol = f"{template.base}{QUOTE}"
    instrument = Instrument(
        id=InstrumentId(template.venue, template.market, symbol),
        base=template.base,
        quote=QUOTE,
        tick_size=tick,
        qty_step=step,
        min_qty=step * (steps if steps * step * start < SMALL_VALUE else 1),
        min_notional=Decimal(draw.choice(template.min_notionals)),
    )
    if draw.random() < 0.5:
        # Far above what is traded here: a limit that is known and does not matter.
        largest = instrument.floor_qty(Decimal(100_000) / start)
        instrument = replace(instrument, max_market_qty=largest)
    return Listed(instrument, instrument.floor_price(start))


def _in_slices(draw: random.Random, listed: Listed, entry_value: Decimal) -> Listed:
    instrument, start = listed.instrument, listed.start
    share = Decimal(draw.randint(70, 130)) / 100
    largest = instrument.floor_qty(entry_value * share / start)
    # A step so coarse that an entry is one of them leaves nothing to choose.
    largest = max(largest, instrument.min_qty, instrument.floor_qty(40 / start))
    return Listed(replace(instrument, max_market_qty=largest), start, is_sliced=True)
