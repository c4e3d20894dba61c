"""What a venue has on record: its account, its executions, and what it tells of them.

Also what happens to the account without an order of ours: the owner's trades, and liquidations.
"""

from bisect import bisect_right
from decimal import Decimal
from typing import NoReturn

from msgspec import Struct

from engine.model.errors import Misconfigured
from engine.model.events import (
    AccountReported,
    Balance,
    BalancesReported,
    FundingPaid,
    OrderFilled,
    OrderUpdated,
    VenuePosition,
)
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ONE, ZERO, plain
from engine.model.order import Fill, FillKind, OrderSide, Refusal
from engine.simulator.account import Account, FeeAsset, LinearPosition
from engine.simulator.filters import Part, Refused

Report = OrderUpdated | OrderFilled | BalancesReported | FundingPaid


class VenueRules(Struct, frozen=True):
    """How a venue treats us.

    Attributes:
        fee_rates: taker fee per market, as a fraction.
        ids_unique_for_ever: False where a client order id may be used again once the order under it
            is final (Binance).
        fee_asset: per market, the third asset in which fees are paid while enough of it is free
            (BNB), at ``fee_asset_rate``: one unit's worth in quote asset.
        rests: True where an order takes no more than the displayed size of a quote and waits with
            the rest for the next ones, instead of being immediate-or-cancel.
        keeps_history: True where all executions can be read again; memory grows with them. What
            is liquidated has a venue order id then.
        child_orders: True where a conditional order on linear places another one, with an id of
            its own, when it triggers (Binance USD-M).
    """

    venue: str
    fee_rates: dict[Market, Decimal]
    latency_ns: int
    slippage_bps: Decimal
    leverage: Decimal = ONE
    maintenance_margin: Decimal = Decimal("0.005")
    ids_unique_for_ever: bool = True
    fee_asset: dict[Market, str] | None = None
    fee_asset_rate: Decimal = ONE
    rests: bool = False
    keeps_history: bool = False
    child_orders: bool = False


class Books:
    """One venue's account, with the executions that changed it.

    Attributes:
        fills, settlements: all of them in order, ours and others', where the rules keep history.
        new_fills, new_funding: those that the account's record lacks.
    """

    def __init__(self, rules: VenueRules, account: Account, next_id: int) -> None:
        self.rules = rules
        self.account = account
        self.next_id = next_id
        self.fills: list[Fill] = []
        self.settlements: list[FundingPaid] = []
        self.new_fills: list[Fill] = []
        self.new_funding: list[FundingPaid] = []

    # What happens without an order of ours

    def trade_elsewhere(
        self,
        instrument: Instrument,
        side: OrderSide,
        qty: Decimal,
        price: Decimal,
        time_ns: int,
        kind: FillKind = FillKind.TRADE,
        client_order_id: str | None = None,
        leg: Side | None = None,
    ) -> list[Report]:
        """Book a trade of the owner, or one that the venue makes for him (ADL); a taker's fee.

        Args:
            client_order_id: of an order that another program has placed.
            leg: of an account in hedge mode, the position that it changes.

        Raises:
            Refused: a trade needs more than is free; nothing was done.
        """
        paid_in = self.pays_in(instrument, [(price, qty)])
        if kind is FillKind.TRADE:
            self.check_funds(instrument, side, [(price, qty)], paid_in, leg)
        rate = self.rules.fee_rates[instrument.id.market]
        fee, asset = self.account.trade(instrument, side, qty, price, rate, paid_in, leg)
        venue_order_id = self.new_id()
        fill = Fill(
            venue_trade_id=self.new_id(),
            instrument=instrument,
            side=side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=asset,
            time_ns=time_ns,
            client_order_id=client_order_id,
            venue_order_id=venue_order_id,
            fee_rate=paid_in.rate if paid_in else None,
            kind=kind,
            leg=leg,
        )
        self.book_fill(fill)
        return [OrderFilled(fill, time_ns), self.balances(instrument, time_ns)]

    def liquidate(
        self,
        instrument_id: InstrumentId,
        time_ns: int,
        price: Decimal | None = None,
        leg: Side | None = None,
    ) -> list[Report]:
        """Take a whole position over; nothing happens where there is none.

        Args:
            price: where it is closed at a taker's fee, in quote asset. None is the last tick before
                bankruptcy, and what is left of the margin is the fee.
        """
        position = self.account.position(instrument_id, leg)
        if position is None:
            return []
        instrument, kind = position.instrument, FillKind.LIQUIDATION
        if price is not None:
            side, qty = position.closing_side, abs(position.qty)
            return self.trade_elsewhere(instrument, side, qty, price, time_ns, kind, leg=leg)
        side, qty, price, fee = self.account.liquidate(position)
        venue_order_id = self.new_id() if self.rules.keeps_history else None
        fill = Fill(
            venue_trade_id=self.new_id(),
            instrument=instrument,
            side=side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=instrument.quote,
            time_ns=time_ns,
            venue_order_id=venue_order_id,
            kind=kind,
            leg=leg,
        )
        self.book_fill(fill)
        return [OrderFilled(fill, time_ns), self.balances(instrument, time_ns)]

    # Funds

    def pays_in(self, instrument: Instrument, parts: list[Part]) -> FeeAsset | None:
        """Return the third asset for the fees of trades; None where they are paid as usual."""
        asset = (self.rules.fee_asset or {}).get(instrument.id.market)
        if asset is None:
            return None
        third, rate = FeeAsset(asset, self.rules.fee_asset_rate), self._fee_rate(instrument)
        fees = (third.fee(price * qty * rate) for price, qty in parts)
        return third if sum(fees, ZERO) <= self.account.free(asset) else None

    def check_funds(
        self,
        instrument: Instrument,
        side: OrderSide,
        parts: list[Part],
        paid_in: FeeAsset | None,
        leg: Side | None = None,
    ) -> None:
        """Raise Refused where trades need more than is free."""
        rate = self._fee_rate(instrument)
        missing = self.account.missing(instrument, side, parts, rate, paid_in, leg)
        if missing is not None:
            self._refuse_balance(*missing)

    def _refuse_balance(self, asset: str, needed: Decimal) -> NoReturn:
        raise Refused(
            Refusal.BALANCE,
            f"insufficient_balance: needs {plain(needed)} {asset},"
            f" {plain(self.account.free(asset))} is free",
        )

    def reserve(self, venue_order_id: str, asset: str, amount: Decimal) -> None:
        """Lock what a resting order is to sell or to spend.

        Raises:
            Refused: less is free.
        """
        if self.account.free(asset) < amount:
            self._refuse_balance(asset, amount)
        self.account.reserved[venue_order_id] = asset, amount

    def _fee_rate(self, instrument: Instrument) -> Decimal:
        return self.rules.fee_rates[instrument.id.market]

    # The record

    def new_id(self) -> str:
        """Give the next id of an order or execution; they rise."""
        self.next_id += 1
        return str(self.next_id)

    def book_fill(self, fill: Fill) -> None:
        """Put an execution on record."""
        self.new_fills.append(fill)
        if self.rules.keeps_history:
            self.fills.append(fill)

    def book_funding(self, paid: FundingPaid) -> None:
        """Put a settlement on record."""
        self.new_funding.append(paid)
        if self.rules.keeps_history:
            self.settlements.append(paid)

    def executions(self, since_id: str = "0") -> list[Fill]:
        """Return the fills after the execution ``since_id``, oldest first, ours and others'.

        Raises:
            Misconfigured: the rules keep no history.
        """
        if not self.rules.keeps_history:
            raise Misconfigured("executions can be read only where VenueRules.keeps_history is set")
        first = bisect_right(self.fills, int(since_id), key=_fill_id)
        return self.fills[first:]

    def read(
        self, now_ns: int, time_ns: int, since_id: str = "0"
    ) -> list[OrderFilled | FundingPaid | AccountReported]:
        """Return executions and settlements after ``since_id`` as they came, then the account.

        Raises:
            Misconfigured: the rules keep no history.
        """
        fills = {_fill_id(fill): OrderFilled(fill, time_ns) for fill in self.executions(since_id)}
        first = bisect_right(self.settlements, int(since_id), key=_settlement_id)
        paid = {_settlement_id(paid): paid for paid in self.settlements[first:]}
        happened: dict[int, OrderFilled | FundingPaid] = {**fills, **paid}
        return [*(happened[key] for key in sorted(happened)), self.report(now_ns, time_ns)]

    # Reports

    def report(self, now_ns: int, time_ns: int) -> AccountReported:
        """Tell all that the account holds now."""
        balances = self.all_balances(time_ns).balances
        positions = tuple(self.venue_positions())
        hedged = self.account.hedged
        return AccountReported(self.rules.venue, positions, balances, time_ns, now_ns, hedged)

    def balances(self, instrument: Instrument, time_ns: int) -> BalancesReported:
        """Balances of the assets that a trade of an instrument moves."""
        assets = {instrument.quote}
        if instrument.id.market is Market.SPOT:
            assets.add(instrument.base)
        if self.rules.fee_asset is not None and instrument.id.market in self.rules.fee_asset:
            assets.add(self.rules.fee_asset[instrument.id.market])
        return self.all_balances(time_ns, sorted(assets))

    def all_balances(self, time_ns: int, assets: list[str] | None = None) -> BalancesReported:
        """Balances of ``assets``, or of every asset there is."""
        account, venue = self.account, self.rules.venue
        names = sorted(account.wallet) if assets is None else assets
        rows = (
            Balance(venue, name, account.total(name), account.free(name), account.locked(name))
            for name in names
        )
        return BalancesReported(tuple(rows), time_ns)

    def venue_positions(self) -> list[VenuePosition]:
        """The netted linear positions, in hedge mode a row per leg."""
        return [self._venue_position(position) for position in self.account.held()]

    def liquidation_price(self, position: LinearPosition) -> Decimal | None:
        """Where the venue takes a position over, in quote asset; None if nowhere."""
        return position.liquidation_price(self.rules.maintenance_margin)

    def _venue_position(self, position: LinearPosition) -> VenuePosition:
        return VenuePosition(
            position.instrument.id,
            Side.LONG if position.qty > ZERO else Side.SHORT,
            abs(position.qty),
            position.entry_price,
            self.liquidation_price(position),
        )


def _fill_id(fill: Fill) -> int:
    return int(fill.venue_trade_id)


def _settlement_id(paid: FundingPaid) -> int:
    return int(paid.venue_trade_id)
