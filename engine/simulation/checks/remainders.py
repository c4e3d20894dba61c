"""Invariant 2: what a closed position leaves as dust could not be sold."""

from decimal import Decimal

from engine.model.instrument import Instrument, Market
from engine.model.position import Position, PositionStatus
from engine.model.ticks import TradeTick
from engine.simulation.checks.case import Case

DUST = "dust_is_unsellable"


def judge_remainders(case: Case) -> None:
    """Judge the dust of every closed position at the lowest price that anybody was told of it."""
    for position in case.facts.positions:
        if position.status is not PositionStatus.CLOSED:
            continue
        case.judged(DUST)
        qty = position.instrument.floor_qty(position.dust)
        if qty > 0 and is_sellable(position.instrument, qty, lowest_price(case, position)):
            text = f"{position.dust} of {position.id} was booked as dust, and could be sold"
            case.blame(2, DUST, 0, text)


def is_sellable(instrument: Instrument, qty: Decimal, price: float) -> bool:
    """Tell whether a venue takes an exit; only on spot does it ask for a value of it."""
    is_worth = float(qty) * price >= float(instrument.min_notional)
    return qty >= instrument.min_qty and (instrument.id.market is Market.LINEAR or is_worth)


def lowest_price(case: Case, position: Position) -> float:
    """Return the lowest trade price of its instrument that any process was told; inf for none."""
    key = position.instrument.id
    prices = [
        price
        for life in case.history.lives
        for price in (
            case.history.told[place].event.price  # type: ignore[union-attr]
            for place in case.ticks.get((life.number, key, TradeTick), ())
        )
    ]
    return min(prices, default=float("inf"))
