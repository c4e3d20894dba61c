"""What Bybit's rows say, in our own words. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from engine.model.events import Balance, FundingPaid, OrderUpdated, VenuePosition
from engine.model.exits import Side
from engine.model.ids import parse_client_order_id
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ZERO
from engine.model.order import Fill, FillKind, OrderSide, OrderStatus
from engine.venues.bybit.codes import refusal_of
from engine.venues.bybit.parse import ExecutionRow, OrderRow, PositionRow, WalletRow

VENUE = "bybit"
NS_PER_MS = 1_000_000

STATUSES: Mapping[str, OrderStatus] = {
    "New": OrderStatus.ACKNOWLEDGED,
    "Untriggered": OrderStatus.ACKNOWLEDGED,
    "Triggered": OrderStatus.ACKNOWLEDGED,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Cancelled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
}
"""``orderStatus`` (v5 documentation, "Enums Definitions"). One that is not listed is not final."""

KINDS: Mapping[str, FillKind] = {
    "Trade": FillKind.TRADE,
    "BlockTrade": FillKind.TRADE,
    "MovePosition": FillKind.TRADE,
    "BustTrade": FillKind.LIQUIDATION,
    "AdlTrade": FillKind.ADL,
}
"""``execType`` of what changes a position; other kinds but ``Funding`` are not perpetuals'."""

FUNDING = "Funding"

SIDES: Mapping[str, OrderSide] = {"Buy": OrderSide.BUY, "Sell": OrderSide.SELL}
_OPENED = {OrderSide.BUY: Side.LONG, OrderSide.SELL: Side.SHORT}
_NO_REASONS = frozenset({"", "EC_NoError", "UNKNOWN"})


class Unreadable(ValueError):
    """A row holds something that its documentation does not."""


def number(text: str | None) -> Decimal:
    """Read a number; absent and empty are 0.

    Raises:
        Unreadable: it is none, or not finite.
    """
    if not text:
        return ZERO
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise Unreadable(f"{text!r} is no number") from error
    if not value.is_finite():
        raise Unreadable(f"{text!r} is no number")
    return value


def moment_ns(text: str) -> int:
    """Read a moment that is written in ms.

    Raises:
        Unreadable: it is none.
    """
    if not text.isdecimal():
        raise Unreadable(f"{text!r} is no moment")
    return int(text) * NS_PER_MS


def side_of(text: str) -> OrderSide:
    """Read ``Buy`` or ``Sell``.

    Raises:
        Unreadable: neither.
    """
    side = SIDES.get(text)
    if side is None:
        raise Unreadable(f"{text!r} is no side")
    return side


def market_of(category: str) -> Market | None:
    """Return the market of a category; None where we do not trade (inverse, option)."""
    return Market(category) if category in tuple(Market) else None


def status_of(row: OrderRow) -> OrderStatus:
    """Say where an order stands."""
    return STATUSES.get(row.order_status, OrderStatus.ACKNOWLEDGED)


def why(row: OrderRow) -> str | None:
    """Say why an order was rejected or cancelled, as the venue names it."""
    named = [text for text in (row.reject_reason, row.cancel_type) if text not in _NO_REASONS]
    return ", ".join(named) or None


def base_qty(row: OrderRow) -> Decimal | None:
    """Return an order's quantity in base asset; None where it was ordered by quote asset."""
    return None if row.market_unit == "quoteCoin" else number(row.qty)


def read_order(row: OrderRow, at_ns: int) -> OrderUpdated | None:
    """Read what the topic ``order`` says of an order of ours; None of another's."""
    if parse_client_order_id(row.order_link_id) is None:
        return None
    return OrderUpdated(
        client_order_id=row.order_link_id,
        status=status_of(row),
        at_ns=at_ns,
        filled_qty=number(row.cum_exec_qty),
        venue_order_id=row.order_id or None,
        message=why(row),
        refusal=refusal_of(row.reject_reason, row.cancel_type),
    )


def read_fill(row: ExecutionRow, instrument: Instrument, *, hedged: bool) -> Fill | None:
    """Read an execution that changed a position or a balance; None of another kind.

    ``hedged``: the venue keeps long and short of it apart. Which of the two was changed is not
    told, but what of an execution closed is.
    """
    kind = KINDS.get(row.exec_type)
    if kind is None:
        return None
    side = side_of(row.side)
    return Fill(
        venue_trade_id=row.exec_id,
        instrument=instrument,
        side=side,
        qty=number(row.exec_qty),
        price=number(row.exec_price),
        fee=number(row.exec_fee),
        fee_asset=row.fee_currency or _fee_asset(instrument, side),
        time_ns=moment_ns(row.exec_time),
        client_order_id=row.order_link_id or None,
        venue_order_id=row.order_id or None,
        kind=kind,
        leg=_leg(row, side) if hedged else None,
    )


def _fee_asset(instrument: Instrument, side: OrderSide) -> str:
    """The asset of a fee that names none: linear pays in quote, spot in what was bought."""
    is_base = instrument.id.market is Market.SPOT and side is OrderSide.BUY
    return instrument.base if is_base else instrument.quote


def _leg(row: ExecutionRow, side: OrderSide) -> Side | None:
    if not row.closed_size:
        return None
    return _OPENED[side.opposite if number(row.closed_size) > ZERO else side]


def read_funding(row: ExecutionRow, instrument: Instrument) -> FundingPaid:
    """Read a settlement. ``execFee`` is positive when paid ("Get Transaction Log" says so)."""
    return FundingPaid(row.exec_id, instrument, number(row.exec_fee), moment_ns(row.exec_time))


def read_position(row: PositionRow) -> VenuePosition | None:
    """Read what is open of a linear instrument; None where nothing is."""
    qty = number(row.size)
    if qty == ZERO or not row.side:
        return None
    liquidation = number(row.liq_price)
    return VenuePosition(
        instrument=InstrumentId(VENUE, Market.LINEAR, row.symbol),
        side=_OPENED[side_of(row.side)],
        qty=qty,
        entry_price=number(row.avg_price or row.entry_price),
        liquidation_price=liquidation if liquidation > ZERO else None,
    )


def read_balances(wallets: Sequence[WalletRow]) -> tuple[Balance, ...]:
    """Read the assets of the unified wallet; margins of linear are locked, too."""
    return tuple(
        _balance(coin.coin, number(coin.wallet_balance), locked)
        for wallet in wallets
        for coin in wallet.coin
        for locked in [
            number(coin.locked) + number(coin.order_margin) + number(coin.position_margin)
        ]
    )


def _balance(asset: str, total: Decimal, locked: Decimal) -> Balance:
    """Margin may be backed by other assets, so that more is locked than is there."""
    free = max(total - locked, ZERO)
    return Balance(VENUE, asset, total, free, total - free)
