"""What a venue checks of an order before it takes it, and how it rounds against the taker."""

from decimal import Decimal

from engine.model.errors import Rejected
from engine.model.instrument import Instrument
from engine.model.money import ONE, plain
from engine.model.order import Order, OrderSide


def worse(instrument: Instrument, side: OrderSide, price: Decimal, fraction: Decimal) -> Decimal:
    """Move a price against the taker by a fraction of it, rounded to the tick against the taker."""
    if side is OrderSide.BUY:
        return instrument.ceil_price(price * (ONE + fraction))
    return instrument.floor_price(price * (ONE - fraction))


def check_filters(order: Order) -> None:
    """Raise Rejected where the venue's filters refuse an order."""
    instrument, qty = order.instrument, order.qty
    if not instrument.trading:
        raise Rejected(f"not_trading: {instrument.id} takes no orders")
    if qty != instrument.floor_qty(qty) or qty < instrument.min_qty:
        raise Rejected(
            f"lot_size: {plain(qty)} is not a multiple of {plain(instrument.qty_step)}"
            f" of at least {plain(instrument.min_qty)}"
        )
    if instrument.max_market_qty is not None and qty > instrument.max_market_qty:
        raise Rejected(f"max_market_qty: {plain(qty)} is above {plain(instrument.max_market_qty)}")
