"""What a venue checks of an order, and the prices that an order meets in its book."""

from decimal import Decimal

from msgspec import Struct

from engine.model.errors import Rejected
from engine.model.instrument import Instrument, Market
from engine.model.money import ONE, ZERO, plain
from engine.model.order import Order, OrderSide, Refusal
from engine.simulator.terms import PLAIN, Terms

MAX_LEVELS = 100
"""Displayed sizes that the book is deep: what an order asks for beyond them is not filled."""

Part = tuple[Decimal, Decimal]
"""Price in quote asset and quantity in base asset of one execution."""


class Refused(Rejected):
    """The venue does not take an order; ``refusal`` is the class of its error code."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class Offer(Struct, frozen=True):
    """One side of the book, as an order meets it.

    Attributes:
        price: of the first level, in quote asset.
        shown: base asset on each level; None is no limit.
        slippage: how much worse each further level is, as a fraction of ``price``.
        taken: base asset that other orders took before.
    """

    price: Decimal
    shown: Decimal | None = None
    slippage: Decimal = ZERO
    taken: Decimal = ZERO


def worse(instrument: Instrument, side: OrderSide, price: Decimal, fraction: Decimal) -> Decimal:
    """Move a price against the taker by a fraction of it, rounded to the tick against the taker."""
    if side is OrderSide.BUY:
        return instrument.ceil_price(price * (ONE + fraction))
    return instrument.floor_price(price * (ONE - fraction))


def walk(instrument: Instrument, side: OrderSide, qty: Decimal, offer: Offer) -> list[Part]:
    """Split ``qty`` over the levels of the book, best first; less of it where the book ends."""
    if offer.shown is None or not offer.slippage:
        return [(worse(instrument, side, offer.price, ZERO), qty)]
    parts: list[Part] = []
    level, used = divmod(offer.taken, offer.shown)
    while qty > ZERO and level < MAX_LEVELS:
        price = worse(instrument, side, offer.price, offer.slippage * level)
        if price <= ZERO:
            break
        part = min(qty, offer.shown - used)
        parts.append((price, part))
        qty -= part
        level, used = level + ONE, ZERO
    return parts


def take_touch(instrument: Instrument, side: OrderSide, qty: Decimal, offer: Offer) -> list[Part]:
    """Take of ``qty`` what the first level still shows; nothing where others took it all."""
    shown = qty if offer.shown is None else offer.shown - offer.taken
    part = min(qty, shown)
    return [(worse(instrument, side, offer.price, ZERO), part)] if part > ZERO else []


def within(parts: list[Part], side: OrderSide, limit: Decimal | None) -> list[Part]:
    """Return the parts that are no worse than a limit price; all of them where there is none."""
    if limit is None:
        return parts
    return [
        each for each in parts if (each[0] <= limit if side is OrderSide.BUY else each[0] >= limit)
    ]


def of_value(instrument: Instrument, parts: list[Part], value: Decimal) -> list[Part]:
    """Return what of the parts ``value`` quote asset pays for, in whole steps."""
    paid: list[Part] = []
    for price, shown in parts:
        qty = min(shown, instrument.floor_qty(value / price))
        if qty > ZERO:
            paid.append((price, qty))
            value -= qty * price
        if qty < shown:
            break
    return paid


def check_filters(order: Order, terms: Terms = PLAIN) -> None:
    """Raise Refused where the venue's filters refuse an order whatever the price is."""
    instrument, qty = order.instrument, order.qty
    if not instrument.trading:
        raise Refused(Refusal.OTHER, f"not_trading: {instrument.id} takes no orders")
    for price in (terms.limit_price, terms.trigger.price if terms.trigger else None):
        if price is not None and (price <= ZERO or price != instrument.floor_price(price)):
            tick = plain(instrument.tick_size)
            text = f"tick_size: {plain(price)} is not a multiple of {tick} above 0"
            raise Refused(Refusal.FILTERS, text)
    if terms.quote_qty is not None:
        return  # the quantity is known when the price is
    if qty <= ZERO or qty != instrument.floor_qty(qty) or qty < instrument.min_qty:
        raise Refused(
            Refusal.FILTERS,
            f"lot_size: {plain(qty)} is not a multiple of {plain(instrument.qty_step)}"
            f" of at least {plain(instrument.min_qty)}",
        )
    if instrument.max_market_qty is not None and qty > instrument.max_market_qty:
        most = plain(instrument.max_market_qty)
        raise Refused(Refusal.FILTERS, f"max_market_qty: {plain(qty)} is above {most}")


def check_notional(order: Order, price: Decimal, quote_qty: Decimal | None = None) -> None:
    """Raise Refused where an order is worth too little at ``price``; reduce-only is exempt."""
    instrument = order.instrument
    notional = order.qty * price if quote_qty is None else quote_qty
    exempt = order.reduce_only and instrument.id.market is Market.LINEAR
    if notional < instrument.min_notional and not exempt:
        raise Refused(
            Refusal.FILTERS,
            f"min_notional: worth {plain(notional)} {instrument.quote},"
            f" at least {plain(instrument.min_notional)} is needed",
        )
