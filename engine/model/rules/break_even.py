"""The break-even move: once in enough profit, the stop goes to where nothing is lost any more."""

from decimal import Decimal

from msgspec import Struct

from engine.model.exits import Disarmed, Limit, Side
from engine.model.instrument import Instrument, Market
from engine.model.money import HUNDRED, ONE


class BreakEven(Struct, frozen=True):
    """A break-even move as asked for.

    Attributes:
        trigger: the profit price at which the stop moves; ``Disarmed`` where only a rung moves it.
        offset_percent: how far beyond the entry the stop goes, in % of the entry price; None is as
            far as covers the taker fees of entry and exit.
        after_rung: the ladder's rung after which the stop moves too, counted from 1; 0 is none.
    """

    trigger: Limit = Disarmed()
    offset_percent: Decimal | None = None
    after_rung: int = 0


def break_even_stop(
    side: Side,
    entry_price: Decimal,
    offset_percent: Decimal | None,
    fee_rate: Decimal,
    instrument: Instrument,
) -> Decimal:
    """Return where the stop moves to, on the tick that triggers no later than the exact price.

    With a fee of ``fee_rate`` (a fraction of notional) on both ways a long nets zero at
    entry x (1 + rate) / (1 - rate), a short at entry x (1 - rate) / (1 + rate). On spot the fee of
    the entry may be kept back from what is bought, so that less is sold: entry / (1 - rate)^2.
    """
    if offset_percent is not None:
        exact_price = entry_price * (HUNDRED + side.sign * offset_percent) / HUNDRED
    elif instrument.id.market is Market.SPOT:
        exact_price = entry_price / (ONE - fee_rate) ** 2
    else:
        signed = side.sign * fee_rate
        exact_price = entry_price * (ONE + signed) / (ONE - signed)
    if side is Side.LONG:
        return instrument.ceil_price(exact_price)
    return instrument.floor_price(exact_price)
