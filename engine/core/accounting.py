"""Fills become money: pure functions from a position and a fill to the position after it."""

from decimal import Decimal

from msgspec.structs import replace

from engine.model.instrument import Market
from engine.model.money import ONE, ZERO, ratio
from engine.model.order import Fill
from engine.model.position import Position


def fee_rate(fill: Fill) -> Decimal | None:
    """Value of one unit of the fee's asset in quote asset; None when it is not known.

    A fee in the base asset is valued at its fill's price, one in a third asset at the rate that
    came with the fill (CONTRACT.md section 6).
    """
    if fill.fee == ZERO or fill.fee_asset == fill.instrument.quote:
        return ONE
    if fill.fee_asset == fill.instrument.base:
        return fill.price
    return fill.fee_rate


def apply_entry(position: Position, fill: Fill) -> Position:
    """Add an entry fill to a position."""
    paid = _with_fee(position, fill)
    kept_back = base_fee(fill)
    return replace(
        paid,
        progress=replace(paid.progress, armed_ns=max(paid.progress.armed_ns, fill.time_ns)),
        qty=paid.qty + fill.qty,
        base_fees=paid.base_fees + kept_back,
        entry_value=paid.entry_value + (fill.qty - kept_back) * fill.price,
        entry_time_ns=fill.time_ns if paid.entry_time_ns is None else paid.entry_time_ns,
    )


def apply_exit(position: Position, fill: Fill) -> Position:
    """Add an exit fill to a position. On spot it pays its fee from what it receives.

    An execution of others that our entry met at the venue is older than the entry.
    """
    paid = _with_fee(position, fill)
    return replace(
        paid,
        exit_qty=paid.exit_qty + fill.qty,
        exit_value=paid.exit_value + fill.qty * fill.price,
        exit_time_ns=max(fill.time_ns, paid.entry_time_ns or 0),
    )


def _with_fee(position: Position, fill: Fill) -> Position:
    rate = fee_rate(fill)
    return replace(
        position,
        fees=position.fees + fill.fee * (rate or ZERO),
        fees_unvalued=position.fees_unvalued or rate is None,
    )


def base_fee(fill: Fill) -> Decimal:
    """Base quantity that a spot purchase kept back as its fee."""
    in_base = fill.fee_asset == fill.instrument.base and fill.instrument.id.market is Market.SPOT
    return fill.fee if in_base else ZERO


def split_fill(fill: Fill, qty: Decimal) -> tuple[Fill, Fill]:
    """Cut a fill in two at ``qty`` (0 < qty < fill.qty); the fee is shared by quantity."""
    fee = ratio(fill.fee * qty, fill.qty)
    return (
        replace(fill, qty=qty, fee=fee),
        replace(fill, qty=fill.qty - qty, fee=fill.fee - fee),
    )
