"""A venue's books: balances and linear positions, kept by the venue's own rules.

This is the exchange's side of the ledger. It shares no code with our ledger or guardian, so that
the two can be compared.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from engine.model.instrument import Instrument, InstrumentId
from engine.model.money import ONE, ZERO, ratio
from engine.model.order import OrderSide


@dataclass(slots=True)
class LinearPosition:
    """A netted position: ``qty`` is signed base, ``value`` is qty x average entry (signed)."""

    instrument: Instrument
    qty: Decimal = ZERO
    value: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal:
        """Average entry of an open position."""
        return self.value / self.qty

    @property
    def sign(self) -> Decimal:
        """+1 for a long, -1 for a short."""
        return ONE.copy_sign(self.qty)

    def liquidation_price(self, leverage: Decimal, maintenance: Decimal) -> Decimal:
        """Where margin plus unrealised P&L equals the maintenance margin (isolated)."""
        room = ONE - self.sign / leverage
        return self.entry_price * room / (ONE - self.sign * maintenance)

    def is_liquidated(self, mark: Decimal, leverage: Decimal, maintenance: Decimal) -> bool:
        """Tell whether margin plus unrealised P&L has fallen to the maintenance margin."""
        equity = abs(self.value) / leverage + self.qty * mark - self.value
        return equity <= abs(self.qty) * mark * maintenance

    def bankruptcy_price(self, leverage: Decimal) -> Decimal:
        """Where the position's margin is lost whole, rounded down to a tick, at least one."""
        tick = self.instrument.tick_size
        price = self.instrument.floor_price(self.entry_price * (ONE - self.sign / leverage))
        return max(price, tick)


@dataclass(slots=True)
class Account:
    """Wallet and positions of one venue.

    Attributes:
        wallet: total of each asset; linear profit and loss is added when realised.
        leverage: positions lock |value| / leverage of the quote asset (isolated margin).
    """

    leverage: Decimal
    wallet: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[InstrumentId, LinearPosition] = field(default_factory=dict)

    def total(self, asset: str) -> Decimal:
        return self.wallet.get(asset, ZERO)

    def locked(self, asset: str) -> Decimal:
        """Margin of the positions that settle in ``asset``."""
        return sum(
            (
                abs(position.value) / self.leverage
                for position in self.positions.values()
                if position.instrument.quote == asset
            ),
            ZERO,
        )

    def free(self, asset: str) -> Decimal:
        return self.total(asset) - self.locked(asset)

    def add(self, asset: str, amount: Decimal) -> None:
        self.wallet[asset] = self.total(asset) + amount

    def trade_spot(
        self, instrument: Instrument, side: OrderSide, qty: Decimal, price: Decimal, fee: Decimal
    ) -> None:
        """Exchange base for quote; the fee is taken from what is received."""
        if side is OrderSide.BUY:
            self.add(instrument.quote, -qty * price)
            self.add(instrument.base, qty - fee)
        else:
            self.add(instrument.base, -qty)
            self.add(instrument.quote, qty * price - fee)

    def trade_linear(
        self, instrument: Instrument, side: OrderSide, qty: Decimal, price: Decimal, fee: Decimal
    ) -> None:
        """Net a trade into the position; what it closes is realised into the quote wallet."""
        position = self.positions.setdefault(instrument.id, LinearPosition(instrument))
        signed = qty if side is OrderSide.BUY else -qty
        closing = ZERO
        if position.qty * signed < ZERO:
            closing = min(abs(signed), abs(position.qty)).copy_sign(signed)
        cost = ratio(position.value * -closing, position.qty) if closing else ZERO
        self.add(instrument.quote, -closing * price - cost - fee)
        opening = signed - closing
        position.qty += signed
        position.value += opening * price - cost
        if not position.qty:
            del self.positions[instrument.id]

    def signed_qty(self, instrument: InstrumentId) -> Decimal:
        """Signed quantity of a linear position, zero when flat."""
        position = self.positions.get(instrument)
        return position.qty if position else ZERO
