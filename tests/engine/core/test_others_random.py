"""A hand at both legs of a hedged account beside ours: executions late, legs told or not."""

import random
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.others import figures, others_on
from engine.model.events import AccountReported, OrderFilled, VenuePosition
from engine.model.exits import Side
from engine.model.order import Fill, OrderSide
from tests.engine.core.accounts_rig import MONEY, report, row, settled, told
from tests.engine.core.rig import BTC_PERP, Rig

D = Decimal


class Hand:
    """What the venue holds of each leg, and how much of one is ours: others' is reduced first."""

    def __init__(self, seed: int, *, legs_told: float) -> None:
        self.legs_told = legs_told
        self.dice = random.Random(seed)
        self.rig = Rig()
        report(self.rig, hedged=True)
        self.side = self.dice.choice(list(Side))
        self.position = self.rig.open("buy" if self.side is Side.LONG else "sell")
        self.ours = D(1)
        self.others = {side: D(self.dice.randrange(30)) / 10 for side in Side}
        self.untold: list[Fill] = []
        settled(self.rig, *self.rows(), hedged=True)

    def rows(self) -> tuple[VenuePosition, ...]:
        held = {side: self.others[side] + self.ours * (side is self.side) for side in Side}
        return tuple(row(side, str(qty)) for side, qty in held.items() if qty)

    def trade(self) -> None:
        """Open or close a part of either leg."""
        leg = self.dice.choice(list(Side))
        qty = D(self.dice.randrange(1, 12)) / 10
        opens = self.dice.random() < 0.4
        if opens:
            self.others[leg] += qty
        else:
            of_others = min(qty, self.others[leg])
            of_ours = min(qty - of_others, self.ours) if leg is self.side else D(0)
            qty = of_others + of_ours
            self.others[leg] -= of_others
            self.ours -= of_ours
        if not qty:
            return
        side = OrderSide.BUY if opens is (leg is Side.LONG) else OrderSide.SELL
        order = replace(self.rig.submitted()[0], side=side)
        fill = replace(self.rig.fill_of(order, "100", qty), client_order_id=None)
        tells_leg = self.dice.random() < self.legs_told
        self.untold.append(replace(fill, leg=leg if tells_leg else None))

    def tell(self, most: int = 100) -> None:
        """Tell executions, in order, some of them twice."""
        for _ in range(min(most, len(self.untold))):
            for _ in range(self.dice.choice((1, 1, 2))):
                self.rig.handle(OrderFilled(self.untold[0], self.rig.now))
            self.untold.pop(0)

    def act(self) -> None:
        choice = self.dice.random()
        if choice < 0.3 and self.ours:
            self.trade()
        elif choice < 0.6:
            self.tell(self.dice.randrange(3))
        elif choice < 0.8:
            self.rig.wait(self.dice.choice((0.5, 1, 4)))
        else:  # executions are told before the report that shows them
            self.tell()
            rows, now = self.rows(), self.rig.monotonic_ns
            self.rig.handle(AccountReported("bybit", rows, MONEY, self.rig.now, now, True))


def lived(seed: int, legs_told: float) -> tuple[Hand, Decimal]:
    """A hand that has done its work, and what is counted as ours after it."""
    hand = Hand(seed, legs_told=legs_told)
    for _ in range(60):
        hand.act()
    hand.tell()
    settled(hand.rig, *hand.rows(), times=3, hedged=True)
    assert told(hand.rig, "account.unexplained") == []
    return hand, sum((p.qty_open for p in hand.rig.guardian.positions()), D(0))


@pytest.mark.parametrize("seed", range(200))
def test_where_executions_tell_their_leg_ours_is_what_the_rule_says(seed: int) -> None:
    hand, counted = lived(seed, 1)
    assert counted == hand.ours
    assert figures(hand.rig.guardian._state, BTC_PERP.id) == tuple(hand.others.values())


@pytest.mark.parametrize("legs_told", [0, 0.7])
@pytest.mark.parametrize("seed", range(100))
def test_where_some_do_not_ours_is_no_less_than_that_and_no_more_than_is_held(
    seed: int, legs_told: float
) -> None:
    hand, counted = lived(seed, legs_told)
    held = hand.ours + hand.others[hand.side]
    assert hand.ours <= counted <= held
    beside = others_on(hand.rig.guardian._state, BTC_PERP.id, hand.side)
    assert beside == held - counted
