"""Random prices: the guardian holds and believes exactly what a naive judge does.

The judge is DESIGN.md 2.10 written out once more, in fractions, with no band in which prices pass
unjudged. A price as near to the held one as to the one before is no contrary evidence; prices in
doubt speak for no other source; what another source said before the hold only ever confirms.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from engine.core.belief import PriceName
from engine.model.exits import AtPrice
from tests.engine.core.price_rig import PriceRig, percent
from tests.engine.core.rig import D

BOUND = Fraction(25, 100)


@dataclass
class Doubt:
    price: Fraction
    before: Fraction
    ms: int
    farthest: Fraction


@dataclass
class Judge:
    """What is believed (all of it, in order) and in doubt, by source."""

    believed: dict[str, list[Fraction]] = field(
        default_factory=lambda: {"last": [], "mark": [], "bid": [], "ask": []}
    )
    doubts: dict[str, Doubt] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    checks: int = 0

    def hear(self, name: str, price: Fraction, ms: int) -> None:
        known, doubt = self.believed[name], self.doubts.get(name)
        spoke = False
        if doubt is not None:
            if contradicts(price, doubt):
                self.end(name, "contradicted")
            elif ms - doubt.ms >= 50:
                self.end(name, "confirmed")
                spoke = True
        held_before = self.doubts.get(name)
        if not known or abs(price / known[-1] - 1) <= BOUND:
            known.append(price)
            spoke = True
        else:
            self.counts[f"{name}.held"] += 1
            if held_before is None:
                self.doubts[name] = Doubt(price, known[-1], ms, price)
            elif abs(price / held_before.price - 1) <= BOUND:
                before = held_before.before
                far = max(held_before.farthest, price, key=lambda p: abs(p - before))
                held_before.farthest = far
        if spoke:
            self.speak(name)
        new = self.doubts.get(name)
        if new is not None and new is not held_before:
            self.checks += 1
            for other in ("last", "mark", "ask"):
                said = self.said(other)
                if said is None or source(other) == source(name) or name not in self.doubts:
                    continue
                if not contradicts(said, new):
                    self.end(name, "confirmed")

    def said(self, name: str) -> Fraction | None:
        if name in ("bid", "ask"):
            bids, asks = self.believed["bid"], self.believed["ask"]
            if name == "bid" or not bids or not asks or {"bid", "ask"} & self.doubts.keys():
                return None
            return (bids[-1] + asks[-1]) / 2
        return self.believed[name][-1] if self.believed[name] else None

    def speak(self, name: str) -> None:
        said = self.said(name)
        for other in list(self.doubts):
            if said is not None and source(other) != source(name):
                self.weigh(other, said)

    def weigh(self, name: str, said: Fraction) -> None:
        if name in self.doubts:
            against = contradicts(said, self.doubts[name])
            self.end(name, "contradicted" if against else "confirmed")

    def answer(self, last: Fraction | None, mark: Fraction | None, middle: Fraction | None) -> None:
        doubt = self.doubts.get("last")
        if doubt is not None and last in (doubt.price, doubt.farthest):
            last = None
        for name in list(self.doubts):
            for said in (mark, middle):
                if said is not None:
                    self.weigh(name, said)
            doubt = self.doubts.get(name)
            if last is not None and doubt is not None and not contradicts(last, doubt):
                self.end(name, "confirmed")

    def wait(self, ms: int) -> None:
        for name, doubt in list(self.doubts.items()):
            if ms - doubt.ms >= 2000:
                self.end(name, "unconfirmed")

    def end(self, name: str, how: str) -> None:
        doubt = self.doubts.pop(name)
        self.counts[f"{name}.{how}"] += 1
        if how != "contradicted":
            self.believed[name].append(doubt.price)
            if doubt.farthest != doubt.price:
                self.believed[name].append(doubt.farthest)


def contradicts(said: Fraction, doubt: Doubt) -> bool:
    return abs(said - doubt.before) < abs(said - doubt.price)


def source(name: str) -> str:
    return "book" if name in ("bid", "ask") else name


class Market:
    """Prices in whole numbers, so that what is exactly at a bound is at it in doubles too."""

    def __init__(self, seed: int, calm: bool) -> None:
        self.random = random.Random(seed)
        self.calm = calm
        self.rig = PriceRig(position_size=D(10_000))
        self.judge = Judge()
        self.position = self.rig.open(
            "buy", trailing=percent("99"), stop_loss=AtPrice(D(10)), price="1000"
        )
        self.judge.hear("last", Fraction(1000), self.rig.venue_ms)
        self.level = 1000.0

    def price(self) -> int:
        dice = self.random.random()
        self.level *= 1 + self.random.uniform(-0.02, 0.02)
        self.level = min(max(self.level, 400), 4000)
        if self.calm or dice < 0.6:
            return round(self.level)
        if dice < 0.9:
            return round(self.level * self.random.choice([0.5, 0.7, 0.74, 0.8, 1.2, 1.3, 1.6]))
        before = self.judge.believed["last"][-1]
        return round(before * self.random.choice([Fraction(3, 4), Fraction(5, 4)]))

    def step(self) -> None:
        rig, judge = self.rig, self.judge
        rig.after(self.random.choice([0, 1, 10, 49, 50, 51, 200]))
        kind = self.random.choice(["last", "last", "mark", "quote", "rest", "clock"])
        if kind == "last":
            price = self.price()
            rig.trade(price)
            judge.hear("last", Fraction(price), rig.venue_ms)
        elif kind == "mark":
            price = self.price()
            rig.mark(price)
            judge.hear("mark", Fraction(price), rig.venue_ms)
        elif kind == "quote":
            bid, ask = sorted((self.price(), self.price()))
            rig.quote(bid, ask)
            judge.hear("bid", Fraction(bid), rig.venue_ms)
            judge.hear("ask", Fraction(ask), rig.venue_ms)
        elif kind == "rest":
            self.rest()
        else:
            rig.clock(self.random.choice([0, 100, 1900, 2000]))
            judge.wait(rig.venue_ms)

    def rest(self) -> None:
        last, mark, middle = (
            self.price() if self.random.random() < 0.4 else None for _ in range(3)
        )
        prices = {"last": last, "mark": mark, "bid": middle, "ask": middle}
        self.rig.rest(**{name: float(p) for name, p in prices.items() if p is not None})
        said = [None if p is None else Fraction(p) for p in (last, mark, middle)]
        self.judge.answer(*said)

    def check(self) -> None:
        rig, judge = self.rig, self.judge
        for name, belief in rig.view.beliefs.items():
            known, doubt = judge.believed[name], judge.doubts.get(name)
            assert belief.last == (known[-1] if known else None)
            assert (belief.held and belief.held.price) == (doubt and doubt.price)
        counts = {f"bybit.{name}": count for name, count in judge.counts.items()}
        assert rig.counts() == counts
        assert len(rig.checks()) == judge.checks
        assert rig.peak(self.position) == max(judge.believed["last"])


@pytest.mark.parametrize("block", range(4))
def test_the_guardian_believes_what_the_definition_says(block: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(50 * block, 50 * block + 50):
        market = Market(seed, calm=False)
        for _ in range(100):
            market.step()
            try:
                market.check()
            except AssertionError as error:
                raise AssertionError(f"seed {seed}") from error
        seen += market.judge.counts
        assert not market.rig.closed()
    for name in PriceName:
        for what in ("held", "confirmed", "contradicted", "unconfirmed"):
            assert seen[f"{name}.{what}"] > 0


def test_a_calm_market_is_never_held_and_seldom_looked_at() -> None:
    looks = ticks = 0
    for seed in range(20):
        market = Market(seed, calm=True)
        for _ in range(500):
            price = market.price()
            channel = market.rig.channel(PriceName.LAST)
            looks += not channel.floor < price < channel.ceil
            ticks += 1
            market.rig.after(1).trade(price)
            market.judge.hear("last", Fraction(price), market.rig.venue_ms)
        market.check()
        assert market.judge.counts == {}
    assert looks < ticks / 10
