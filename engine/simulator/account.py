"""A venue's books: balances and linear positions, kept by the venue's own rules.

This is the exchange's side of the ledger. It shares no code with our ledger or guardian, so that
the two can be compared.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from msgspec import Struct

from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ONE, ZERO, ratio
from engine.model.order import OrderSide
from engine.simulator.filters import Part


class Funding(Struct, frozen=True):
    """The next settlement of an instrument: venue time in ms, and the rate as a fraction.

    The rate is the nearest double of the venue's text, see ``money.exact``.
    """

    next_ms: int
    rate: float


class FeeAsset(Struct, frozen=True):
    """A third asset in which fees are paid, as BNB; ``rate`` is one unit's worth in quote asset."""

    asset: str
    rate: Decimal

    def fee(self, value: Decimal) -> Decimal:
        """Return a fee that is worth ``value`` in quote asset."""
        return ratio(value, self.rate)


@dataclass(slots=True)
class LinearPosition:
    """A netted position: ``qty`` is signed base, ``value`` is qty x average entry (signed).

    It keeps the ``leverage`` under which it was opened: a setting changed between two runs must
    not move a liquidation price.
    """

    instrument: Instrument
    leverage: Decimal
    qty: Decimal = ZERO
    value: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal:
        """Average entry of an open position, in quote asset."""
        return ratio(self.value, self.qty)

    @property
    def sign(self) -> Decimal:
        """+1 for a long, -1 for a short."""
        return ONE.copy_sign(self.qty)

    @property
    def closing_side(self) -> OrderSide:
        """What an order does that reduces it."""
        return OrderSide.SELL if self.qty > ZERO else OrderSide.BUY

    @property
    def margin(self) -> Decimal:
        """Quote asset that the position locks, and all that it can lose (isolated)."""
        return ratio(abs(self.value), self.leverage)

    def liquidation_price(self, maintenance: Decimal) -> Decimal | None:
        """Where margin plus unrealised P&L equals the maintenance margin; None if nowhere."""
        price = ratio(self.value - self.margin, self.qty * (ONE - self.sign * maintenance))
        return price if price > ZERO else None

    def is_liquidated(self, mark: Decimal, maintenance: Decimal) -> bool:
        """Tell whether margin plus unrealised P&L has fallen to the maintenance margin."""
        equity = self.margin + self.qty * mark - self.value
        return equity <= abs(self.qty) * mark * maintenance

    def bankruptcy_price(self) -> Decimal:
        """The last tick before the position's whole margin is lost."""
        price = (self.value - self.margin) / self.qty
        is_long = self.qty > ZERO
        return (self.instrument.ceil_price if is_long else self.instrument.floor_price)(price)


@dataclass(slots=True)
class Account:
    """Wallet and positions of one venue.

    Attributes:
        leverage: of positions opened from now on; each locks |value| / leverage of its quote asset.
        wallet: total of each asset; linear profit and loss is added when realised.
        openings: what each asset was credited with at its start.
    """

    leverage: Decimal
    wallet: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[InstrumentId, LinearPosition] = field(default_factory=dict)
    openings: dict[str, Decimal] = field(default_factory=dict)

    def open(self, asset: str, amount: Decimal) -> None:
        """Credit an asset's opening balance, once for ever."""
        if asset not in self.openings:
            self.openings[asset] = amount
            self.add(asset, amount)

    def total(self, asset: str) -> Decimal:
        return self.wallet.get(asset, ZERO)

    def locked(self, asset: str) -> Decimal:
        """Margin of the positions that settle in ``asset``."""
        margins = (p.margin for p in self.positions.values() if p.instrument.quote == asset)
        return sum(margins, ZERO)

    def free(self, asset: str) -> Decimal:
        return self.total(asset) - self.locked(asset)

    def signed_qty(self, instrument: InstrumentId) -> Decimal:
        """Signed quantity of a linear position in base asset, zero when flat."""
        position = self.positions.get(instrument)
        return position.qty if position else ZERO

    def reducible(self, instrument: InstrumentId, side: OrderSide) -> Decimal:
        """How much of a linear position a trade of ``side`` can close, in base asset."""
        signed = self.signed_qty(instrument)
        reduces = (signed > ZERO) == (side is OrderSide.SELL)
        return abs(signed) if reduces else ZERO

    def missing(
        self,
        instrument: Instrument,
        side: OrderSide,
        parts: Iterable[Part],
        rate: Decimal,
        paid_in: FeeAsset | None = None,
    ) -> tuple[str, Decimal] | None:
        """Tell the asset of which trades need more than is free, and how much they need.

        None means that they can be made. What only reduces a linear position always can be.
        """
        trial = replace(self, wallet=dict(self.wallet), positions=dict(self.positions))
        if instrument.id in self.positions:
            trial.positions[instrument.id] = replace(self.positions[instrument.id])
        qty = ZERO
        for part_price, part_qty in parts:
            trial.trade(instrument, side, part_qty, part_price, rate, paid_in)
            qty += part_qty
        sells = instrument.id.market is Market.SPOT and side is OrderSide.SELL
        asset = instrument.base if sells else instrument.quote
        free_after = trial.free(asset)
        if free_after >= ZERO or qty <= self.reducible(instrument.id, side):
            return None
        return asset, self.free(asset) - free_after

    def add(self, asset: str, amount: Decimal) -> None:
        self.wallet[asset] = self.total(asset) + amount

    def trade(
        self,
        instrument: Instrument,
        side: OrderSide,
        qty: Decimal,
        price: Decimal,
        rate: Decimal,
        paid_in: FeeAsset | None = None,
    ) -> tuple[Decimal, str]:
        """Trade at a fee rate (a fraction); returns the fee and its asset.

        Spot buys pay it in base, everything else in quote, unless a third asset is told.
        """
        if paid_in is not None:
            fee = paid_in.fee(qty * price * rate)
            self.trade(instrument, side, qty, price, ZERO)
            self.add(paid_in.asset, -fee)
            return fee, paid_in.asset
        if instrument.id.market is Market.LINEAR:
            fee = qty * price * rate
            self.trade_linear(instrument, side, qty, price, fee)
            return fee, instrument.quote
        if side is OrderSide.BUY:
            fee = qty * rate
            self.add(instrument.quote, -qty * price)
            self.add(instrument.base, qty - fee)
            return fee, instrument.base
        fee = qty * price * rate
        self.add(instrument.base, -qty)
        self.add(instrument.quote, qty * price - fee)
        return fee, instrument.quote

    def trade_linear(
        self, instrument: Instrument, side: OrderSide, qty: Decimal, price: Decimal, fee: Decimal
    ) -> None:
        """Net a trade into the position; what it closes is realised into the quote wallet."""
        position = self.positions.setdefault(
            instrument.id, LinearPosition(instrument, self.leverage)
        )
        signed = qty if side is OrderSide.BUY else -qty
        closed = min(qty, self.reducible(instrument.id, side)).copy_sign(position.qty)
        cost = position.value  # closing whole takes the value whole: no rounding is left behind
        if closed != position.qty:
            cost = ratio(position.value * closed, position.qty)
        self.add(instrument.quote, closed * price - cost - fee)
        position.qty += signed
        position.value += (signed + closed) * price - cost
        if not position.qty:
            del self.positions[instrument.id]
        elif closed and position.qty * closed < ZERO:
            position.leverage = self.leverage

    def liquidate(self, position: LinearPosition) -> tuple[OrderSide, Decimal, Decimal, Decimal]:
        """Close a position at its bankruptcy price; returns side, quantity, price and fee.

        What the tick leaves of the margin is the fee, so that the margin is lost to the last digit.
        """
        side, qty, price = position.closing_side, abs(position.qty), position.bankruptcy_price()
        fee = position.margin - (position.value - position.qty * price)
        self.trade_linear(position.instrument, side, qty, price, fee)
        return side, qty, price, fee
