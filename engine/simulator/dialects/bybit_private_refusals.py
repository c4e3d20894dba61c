"""Bybit's codes for what the venue model refuses.

Source: Bybit v5 docs, "Error Codes": 110xxx are derivatives, 170xxx spot. Precision and size of a
linear order have no code of their own; they are parameter errors.
"""

from engine.model.instrument import Instrument, Market
from engine.simulator.dialects.bybit_errors import PARAMETER_ERROR, BybitError
from engine.simulator.filters import Refused
from engine.simulator.terms import Trigger

LINEAR = {
    "duplicate_id": (110072, "OrderLinkedID is duplicate"),
    "not_trading": (110074, "This symbol is not available for trading"),
    "lot_size": (PARAMETER_ERROR, "Qty invalid"),
    "max_market_qty": (
        PARAMETER_ERROR,
        "The number of contracts exceeds maximum limit allowed: too large",
    ),
    "min_notional": (110094, "Order does not meet minimum order value 5USDT"),
    "reduce_only": (110017, "current position is zero, cannot fix reduce-only order qty"),
    "insufficient_balance": (110007, "ab not enough for new order"),
}
SPOT = {
    "duplicate_id": (170141, "Duplicate clientOrderId."),
    "not_trading": (170031, "The feature has been suspended."),
    "lot_size": (170137, "Order quantity has too many decimals."),
    "max_market_qty": (170135, "Order quantity exceeded upper limit."),
    "min_notional": (170140, "Order value exceeded lower limit."),
    "insufficient_balance": (170131, "Insufficient balance."),
}
RISING_PASSED = 110092
FALLING_PASSED = 110093


def refusal(refused: Refused, instrument: Instrument, trigger: Trigger | None) -> BybitError:
    """Return the answer to a create request that the venue model refused."""
    cause = str(refused).partition(":")[0]
    if cause == "trigger_passed" and trigger is not None:
        if trigger.rises:
            text = f"expect Rising, but trigger_price[{trigger.price}] <= current"
            return BybitError(text, RISING_PASSED)
        text = f"expect Falling, but trigger_price[{trigger.price}] >= current"
        return BybitError(text, FALLING_PASSED)
    codes = SPOT if instrument.id.market is Market.SPOT else LINEAR
    code, text = codes.get(cause, (PARAMETER_ERROR, str(refused)))
    return BybitError(text, code)
