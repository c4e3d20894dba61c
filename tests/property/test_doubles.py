"""Doubles are compared as the decimal strings they were read from, whatever the tick size."""

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from operator import eq, lt
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.model.money import exact

D = Decimal
DIGITS = 15
"""Significant digits of a price, at most."""
TICKS = tuple(D(1).scaleb(-power) for power in range(-2, 14)) + tuple(
    map(D, ("0.5", "0.25", "0.05", "0.025", "0.005", "0.0005", "2.5", "5", "25"))
)
"""Tick sizes of instruments of Binance, Bybit, KuCoin and OKX, and some more."""
OFF_GRID = (1, 1, 1, 100, 1000)
"""Marks lie between ticks: into how many parts a tick is cut."""


def texts(numbers: list[int], places: int, padding: str) -> list[str]:
    """Write numbers in units of the last place as venues write prices."""
    if places <= 0:
        zeros = "0" * -places
        return [f"{number}{zeros}{padding and '.' + padding}" for number in numbers]
    base = 10**places
    return [f"{n // base}.{n % base:0{places}d}{padding}" for n in numbers]


def sample(random: Random, tick: Decimal, count: int) -> tuple[list[str], list[str]]:
    """Prices of one instrument beside thresholds: equal, neighbours on the grid, or anywhere."""
    exact_tick = (tick / random.choice(OFF_GRID)).normalize()
    _, digits, exponent = exact_tick.as_tuple()
    places = -int(exponent)
    unit = int("".join(map(str, digits)))
    most = (10**DIGITS - 1) // unit
    tops = [10**power for power in range(1, DIGITS + 1) if 10**power <= most] + [most]
    thresholds = [random.randrange(1, random.choice(tops) + 1) for _ in range(count)]
    far = random.sample(thresholds, count)
    moves = random.choices((0, 1, -1, 2, -3, None), (3, 3, 3, 1, 1, 2), k=count)
    prices = [
        other if move is None else min(max(n + move, 1), most)
        for n, move, other in zip(thresholds, moves, far, strict=True)
    ]
    padding = random.choice(("", "", "0", "000"))
    return (
        texts([n * unit for n in prices], places, padding),
        texts([n * unit for n in thresholds], places, ""),
    )


def disagreements(prices: list[str], thresholds: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs whose doubles are ordered otherwise than their decimals."""
    doubles = list(map(float, prices)), list(map(float, thresholds))
    decimals = list(map(D, prices)), list(map(D, thresholds))
    for same in (lt, eq):
        as_doubles, as_decimals = list(map(same, *doubles)), list(map(same, *decimals))
        if as_doubles != as_decimals:
            found = zip(as_doubles, as_decimals, prices, thresholds, strict=True)
            yield from ((p, t) for double, decimal, p, t in found if double != decimal)


def disagree_over(seed: int, ticks: tuple[Decimal, ...], pairs: int) -> list[tuple[str, str]]:
    """Compare at least so many pairs, as many at each tick size."""
    random, batch = Random(seed), 1000
    rounds = -(-pairs // (batch * len(ticks)))
    return [
        pair
        for _ in range(rounds)
        for tick in ticks
        for pair in disagreements(*sample(random, tick, batch))
    ]


def test_doubles_order_prices_and_thresholds_as_decimals_do() -> None:
    assert disagree_over(1, TICKS, 200_000) == []


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(10))
def test_doubles_order_ten_million_pairs_as_decimals_do(seed: int) -> None:
    assert disagree_over(100 + seed, TICKS, 1_000_000) == []


def test_a_disagreement_would_be_seen() -> None:
    pair = ("0.10000000000000001", "0.1")  # 17 digits
    assert list(disagreements([pair[0]], [pair[1]])) == [pair]


def test_a_double_gives_back_the_decimal_it_was_read_from() -> None:
    random = Random(2)
    for tick in TICKS:
        prices, thresholds = sample(random, tick, 1000)
        for text in (*prices, *thresholds):
            assert exact(float(text)) == D(text), text


def test_the_sample_has_equal_and_neighbouring_prices_of_all_lengths() -> None:
    random = Random(3)
    lengths = set()
    for tick in TICKS:
        prices, thresholds = sample(random, tick, 1000)
        pairs = [(D(p), D(t)) for p, t in zip(prices, thresholds, strict=True)]
        assert sum(p == t for p, t in pairs) > 100
        assert sum(abs(p - t) in {tick, tick / 100, tick / 1000} for p, t in pairs) > 200
        lengths |= {len(t.normalize().as_tuple().digits) for _, t in pairs}
    assert lengths == set(range(1, DIGITS + 1))


def recorded_ticks(recordings: Path) -> set[Decimal]:
    """The tick sizes of every instrument in the recorded lists."""
    found = set()
    for name in ("linear", "spot"):
        listing = _read(recordings / f"bybit/rest/v5_market_instruments-info_{name}.json.gz")
        found |= {D(one["priceFilter"]["tickSize"]) for one in listing["result"]["list"]}
    for name in ("spot_exchangeInfo.json.gz", "usdm_exchangeInfo.json"):
        for symbol in _read(recordings / "binance/rest" / name)["symbols"]:
            found |= {D(one["tickSize"]) for one in symbol["filters"] if "tickSize" in one}
    listing = _read(recordings / "kucoin/rest/symbols.json.gz")
    found |= {D(one["priceIncrement"]) for one in listing["data"]}
    listing = _read(recordings / "okx/rest/instruments_SPOT.json.gz")
    return found | {D(one["tickSz"]) for one in listing["data"]}


def _read(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def test_recorded_instruments_have_these_tick_sizes(recordings: Path) -> None:
    ticks = recorded_ticks(recordings)
    assert len(ticks) > 10
    assert disagree_over(4, tuple(sorted(ticks)), 50_000) == []
    assert ticks <= set(TICKS)
