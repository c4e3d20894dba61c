"""A venue's books: balances and linear positions, kept by the venue's own rules.

This is the exchange's side of the ledger. It shares no code with our ledger or guardian, so that
the two can be compared.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.exits import Side
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


class MarginMode(StrEnum):
    """What a linear position can lose: its own margin, or the whole wallet."""

    ISOLATED = "isolated"
    CROSS = "cross"


@dataclass(slots=True)
class LinearPosition:
    """A netted position: ``qty`` is signed base, ``value`` is qty x average entry (signed).

    ``leg`` is set in hedge mode: a long leg never goes below zero, a short one never above.

    It keeps the ``leverage`` under which it was opened: a setting changed between two runs must
    not move a liquidation price.
    """

    instrument: Instrument
    leverage: Decimal
    qty: Decimal = ZERO
    value: Decimal = ZERO
    leg: Side | None = None

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
        legs: the positions of an account in hedge mode, which has none in ``positions``.
        leverages, margin_modes: of instruments that have their own.
        reserved: asset and amount that a resting order locks, by its venue order id.
    """

    leverage: Decimal
    wallet: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[InstrumentId, LinearPosition] = field(default_factory=dict)
    openings: dict[str, Decimal] = field(default_factory=dict)
    hedged: bool = False
    legs: dict[tuple[InstrumentId, Side], LinearPosition] = field(default_factory=dict)
    leverages: dict[InstrumentId, Decimal] = field(default_factory=dict)
    margin_mode: MarginMode = MarginMode.ISOLATED
    margin_modes: dict[InstrumentId, MarginMode] = field(default_factory=dict)
    reserved: dict[str, tuple[str, Decimal]] = field(default_factory=dict)

    def open(self, asset: str, amount: Decimal) -> None:
        """Credit an asset's opening balance, once for ever."""
        if asset not in self.openings:
            self.openings[asset] = amount
            self.add(asset, amount)

    def total(self, asset: str) -> Decimal:
        return self.wallet.get(asset, ZERO)

    def locked(self, asset: str) -> Decimal:
        """Margin of the positions that settle in ``asset``, and what resting orders lock of it."""
        margins = (p.margin for p in self.held() if p.instrument.quote == asset)
        resting = (amount for name, amount in self.reserved.values() if name == asset)
        return sum(margins, sum(resting, ZERO))

    def free(self, asset: str) -> Decimal:
        return self.total(asset) - self.locked(asset)

    def held(self, instrument: InstrumentId | None = None) -> list[LinearPosition]:
        """Return the open positions (of an instrument, if one is given), each leg by itself."""
        every = (*self.positions.values(), *self.legs.values())
        return [each for each in every if instrument is None or each.instrument.id == instrument]

    def position(self, instrument: InstrumentId, leg: Side | None = None) -> LinearPosition | None:
        """Return an instrument's open position, in hedge mode that of a leg."""
        if leg is None:
            return self.positions.get(instrument)
        return self.legs.get((instrument, leg))

    def leverage_of(self, instrument: InstrumentId) -> Decimal:
        """Return the leverage of an instrument's positions."""
        return self.leverages.get(instrument, self.leverage)

    def set_leverage(self, instrument: InstrumentId, leverage: Decimal) -> None:
        """Set the leverage of an instrument, also of what is open of it."""
        self.leverages[instrument] = leverage
        for position in self.held(instrument):
            position.leverage = leverage

    def margin_mode_of(self, instrument: InstrumentId) -> MarginMode:
        """Return what an instrument's positions can lose."""
        return self.margin_modes.get(instrument, self.margin_mode)

    def leg_of(self, side: OrderSide, *, reduces: bool) -> Side | None:
        """Return the leg that a trade is for, by its side; None in one-way mode."""
        if not self.hedged:
            return None
        return Side.LONG if (side is OrderSide.BUY) is not reduces else Side.SHORT

    def signed_qty(self, instrument: InstrumentId, leg: Side | None = None) -> Decimal:
        """Signed quantity of a linear position in base asset, zero when flat."""
        position = self.position(instrument, leg)
        return position.qty if position else ZERO

    def reducible(
        self, instrument: InstrumentId, side: OrderSide, leg: Side | None = None
    ) -> Decimal:
        """How much of a linear position a trade of ``side`` can close, in base asset."""
        signed = self.signed_qty(instrument, leg)
        reduces = (signed > ZERO) == (side is OrderSide.SELL)
        return abs(signed) if reduces else ZERO

    def missing(
        self,
        instrument: Instrument,
        side: OrderSide,
        parts: Iterable[Part],
        rate: Decimal,
        paid_in: FeeAsset | None = None,
        leg: Side | None = None,
    ) -> tuple[str, Decimal] | None:
        """Tell the asset of which trades need more than is free, and how much they need.

        None means that they can be made. What only reduces a linear position always can be.
        """
        trial = replace(
            self, wallet=dict(self.wallet), positions=dict(self.positions), legs=dict(self.legs)
        )
        position = self.position(instrument.id, leg)
        if position is not None:
            trial.put(instrument.id, leg, replace(position))
        qty = ZERO
        for part_price, part_qty in parts:
            trial.trade(instrument, side, part_qty, part_price, rate, paid_in, leg)
            qty += part_qty
        sells = instrument.id.market is Market.SPOT and side is OrderSide.SELL
        asset = instrument.base if sells else instrument.quote
        free_after = trial.free(asset)
        if free_after >= ZERO or qty <= self.reducible(instrument.id, side, leg):
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
        leg: Side | None = None,
    ) -> tuple[Decimal, str]:
        """Trade at a fee rate (a fraction); returns the fee and its asset.

        Spot buys pay it in base, everything else in quote, unless a third asset is told.
        """
        if paid_in is not None:
            fee = paid_in.fee(qty * price * rate)
            self.trade(instrument, side, qty, price, ZERO, leg=leg)
            self.add(paid_in.asset, -fee)
            return fee, paid_in.asset
        if instrument.id.market is Market.LINEAR:
            fee = qty * price * rate
            self.trade_linear(instrument, side, qty, price, fee, leg)
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
        self,
        instrument: Instrument,
        side: OrderSide,
        qty: Decimal,
        price: Decimal,
        fee: Decimal,
        leg: Side | None = None,
    ) -> None:
        """Net a trade into the position; what it closes is realised into the quote wallet."""
        position = self.position(instrument.id, leg)
        if position is None:
            position = LinearPosition(instrument, self.leverage_of(instrument.id), leg=leg)
            self.put(instrument.id, leg, position)
        signed = qty if side is OrderSide.BUY else -qty
        closed = min(qty, self.reducible(instrument.id, side, leg)).copy_sign(position.qty)
        cost = position.value  # closing whole takes the value whole: no rounding is left behind
        if closed != position.qty:
            cost = ratio(position.value * closed, position.qty)
        self.add(instrument.quote, closed * price - cost - fee)
        position.qty += signed
        position.value += (signed + closed) * price - cost
        if not position.qty:
            self.put(instrument.id, leg, None)
        elif closed and position.qty * closed < ZERO:
            position.leverage = self.leverage_of(instrument.id)

    def put(
        self, instrument: InstrumentId, leg: Side | None, position: LinearPosition | None
    ) -> None:
        """Keep a position from now on, or none."""
        if leg is None and position is not None:
            self.positions[instrument] = position
        elif leg is None:
            del self.positions[instrument]
        elif position is not None:
            self.legs[instrument, leg] = position
        else:
            del self.legs[instrument, leg]

    def liquidate(self, position: LinearPosition) -> tuple[OrderSide, Decimal, Decimal, Decimal]:
        """Close a position at its bankruptcy price; returns side, quantity, price and fee.

        What the tick leaves of the margin is the fee, so that the margin is lost to the last digit.
        """
        side, qty, price = position.closing_side, abs(position.qty), position.bankruptcy_price()
        fee = position.margin - (position.value - position.qty * price)
        self.trade_linear(position.instrument, side, qty, price, fee, position.leg)
        return side, qty, price, fee
