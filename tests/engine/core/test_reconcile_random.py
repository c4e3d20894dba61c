"""A hand at the venue beside ours: executions that come late, and reports that overtake them."""

import random
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.events import AccountReported, OrderFilled, VenuePosition
from engine.model.exits import Side
from engine.model.order import Fill, OrderSide
from tests.engine.core.accounts_rig import MONEY, row, settled, told
from tests.engine.core.restarts import restart
from tests.engine.core.rig import BTC_PERP, Rig

D = Decimal


class Beside:
    """What the venue holds, and how much of it is ours by the rule: others' is reduced first."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.rig = Rig()
        self.side = self.dice.choice(list(Side))
        self.position = self.rig.open("buy" if self.side is Side.LONG else "sell")
        self.ours, self.others = D(1), D(self.dice.randrange(0, 30)) / 10
        self.untold: list[Fill] = []
        settled(self.rig, *self.rows())

    def rows(self) -> tuple[VenuePosition, ...]:
        held = self.ours + self.others
        if not held:
            return ()
        return (row(self.side if held > 0 else self.side.opposite, str(abs(held))),)

    def by_hand(self) -> None:
        """Trade up to all that is held, either way."""
        qty = D(self.dice.randrange(1, 12)) / 10
        if self.dice.random() < 0.5:
            self.others += qty
            side = self.position.entry_side
        else:
            of_others = min(qty, max(self.others, D(0)))
            of_ours = min(qty - of_others, self.ours)
            self.ours -= of_ours
            self.others -= qty - of_ours
            side = self.position.exit_side
        order = replace(self.rig.submitted()[0], side=OrderSide(side))
        self.untold.append(replace(self.rig.fill_of(order, "100", qty), client_order_id=None))

    def tell(self, most: int = 100) -> None:
        """Tell executions, in order, some of them twice."""
        for _ in range(min(most, len(self.untold))):
            for _ in range(self.dice.choice((1, 1, 2))):
                self.rig.handle(OrderFilled(self.untold[0], self.rig.now))
            self.untold.pop(0)

    def act(self) -> None:
        choice = self.dice.random()
        if choice < 0.3 and self.ours:
            self.by_hand()
        elif choice < 0.6:
            self.tell(self.dice.randrange(3))
        elif choice < 0.8:
            self.rig.wait(self.dice.choice((0.5, 1, 4)))
        else:  # shows what is not told yet, but never two times: executions are told before
            self.report()
            self.tell()

    def report(self) -> None:
        rows, now = self.rows(), self.rig.monotonic_ns
        self.rig.handle(AccountReported("bybit", rows, MONEY, self.rig.now, now))

    def held(self) -> Decimal:
        return sum((p.qty_open for p in self.rig.guardian.positions()), D(0))

    def check(self) -> None:
        sign = self.side.sign
        self.tell()
        settled(self.rig, *self.rows(), times=3)
        assert self.held() == self.ours
        if self.ours:
            assert self.rig.guardian._state.foreign.get(BTC_PERP.id, 0) == self.others * sign
        assert told(self.rig, "account.unexplained") == []


@pytest.mark.parametrize("seed", range(200))
def test_late_executions_and_early_reports_come_to_what_the_rule_says(seed: int) -> None:
    beside = Beside(seed)
    for _ in range(60):
        beside.act()
    beside.check()


@pytest.mark.parametrize("seed", range(200))
def test_after_a_start_ours_is_never_more_than_the_venue_holds(seed: int) -> None:
    beside = Beside(seed)
    for _ in range(10):
        beside.act()
    every = list(beside.untold)
    if not beside.held():
        return
    old, beside.rig = beside.rig, restart(beside.rig)
    beside.rig.effects = list(old.effects)
    for generation in range(4):
        beside.rig.absent(f"{beside.position.id}x{generation}")
    for _ in range(5):
        if beside.ours:
            beside.by_hand()
    assert beside.untold[: len(every)] == every
    held = beside.held()
    beside.tell()
    settled(beside.rig, *beside.rows(), times=3)
    there = max(beside.ours + beside.others, D(0))
    assert beside.held() == min(held, there)
    assert told(beside.rig, "account.unexplained") == []
