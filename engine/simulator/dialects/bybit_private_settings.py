"""Bybit's settings of an account: leverage, position mode, margin mode, fee rates.

Source: Bybit v5 docs, position/leverage, position/position-mode, account/set-margin-mode,
account/fee-rate.
"""

from decimal import Decimal
from typing import Any

from engine.model.instrument import Instrument, Market
from engine.model.money import plain
from engine.simulator.desk import Desk
from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.bybit_private_orders import Orders
from engine.simulator.dialects.bybit_private_pages import listing
from engine.simulator.dialects.bybit_private_params import Params
from engine.simulator.dialects.bybit_private_wallet import MODES, Wallet
from engine.simulator.filters import Refused

LEVERAGE = frozenset(("category", "symbol", "buyLeverage", "sellLeverage"))
MODE = frozenset(("category", "symbol", "coin", "mode"))
MARGIN = frozenset(("setMarginMode",))
FEES = frozenset(("category", "symbol", "baseCoin"))
POSITIONS = frozenset(("category", "symbol", "baseCoin", "settleCoin", "limit", "cursor"))
WALLET = frozenset(("accountType", "coin"))
ONE_WAY, HEDGE = 0, 3


class Settings:
    """Answers about the account of one desk, and changes its settings."""

    def __init__(self, desk: Desk, orders: Orders, wallet: Wallet) -> None:
        self._desk = desk
        self._orders = orders
        self._wallet = wallet

    def set_leverage(self, params: Params) -> dict[str, Any]:
        """Set the leverage of an instrument; unchanged is refused with 110043."""
        instrument = self._linear(params)
        buy, sell = params.decimal("buyLeverage"), params.decimal("sellLeverage")
        limits = self._desk.place.state(instrument.id).listing.info["leverageFilter"]
        if buy is None or buy != sell:
            raise BybitError("buy leverage must be equal to sell leverage")
        if not Decimal(limits["minLeverage"]) <= buy <= Decimal(limits["maxLeverage"]):
            raise BybitError("cannot set leverage due to risk limit level", 110013)
        if buy % Decimal(limits["leverageStep"]):
            raise BybitError("leverage invalid")
        if buy == self._desk.leverage(instrument.id):
            raise BybitError("leverage not modified", 110043)
        try:
            self._desk.set_leverage(instrument.id, buy)
        except Refused:
            raise BybitError("Wallet balance is insufficient", 110045) from None
        return {}

    def switch_mode(self, params: Params) -> dict[str, Any]:
        """Set one-way or hedge mode, always of the whole account."""
        if params.market is not Market.LINEAR:
            raise BybitError("params error: Category is invalid")
        if params.text("symbol"):
            self._orders.named(params)
        elif params.text("coin") != "USDT":
            raise BybitError("params error: symbol or coin is required")
        mode = params.whole("mode", ONE_WAY, HEDGE)
        if mode not in (ONE_WAY, HEDGE):
            raise BybitError("params error: mode invalid")
        if self._desk.hedged == (mode == HEDGE):
            raise BybitError("Position mode is not modified", 110025)
        try:
            self._desk.set_hedged(mode == HEDGE)
        except Refused:
            if self._desk.positions():
                text = "You have an existing position, so position mode cannot be switched"
                raise BybitError(text, 110024) from None
            text = "You have open orders, so position mode cannot be switched"
            raise BybitError(text, 110028) from None
        return {}

    def set_margin_mode(self, params: Params) -> dict[str, Any]:
        """Set the margin mode of the account; a refusal names its reasons."""
        mode = MODES.get(params.text("setMarginMode"))
        if mode is None:
            raise BybitError("params error: setMarginMode invalid")
        try:
            self._desk.set_margin_mode(mode)
        except Refused as refused:
            reasons = [{"reasonCode": "3400061", "reasonMsg": str(refused)}]
            raise BybitError("Set margin mode failed", 3400045, {"reasons": reasons}) from None
        return {"reasons": []}

    def fee_rates(self, params: Params) -> dict[str, Any]:
        """Tell the fee rates of a market, or of one symbol."""
        market = params.market
        rate = plain(self._desk.model.rules.fee_rates[market])
        if params.text("symbol"):
            symbols = [self._orders.named(params).id.symbol]
        else:
            listed = self._desk.place.listings.of("bybit", market)
            symbols = [each.id.symbol for each in listed]
        return {
            "list": [
                {"symbol": name, "takerFeeRate": rate, "makerFeeRate": rate, "baseCoin": ""}
                for name in symbols
            ]
        }

    def positions(self, params: Params) -> dict[str, Any]:
        """Tell positions: of a symbol flat ones too, of a settle coin only those that are open."""
        if params.market is not Market.LINEAR:
            raise BybitError("params error: Category is invalid")
        params.limit(20, 200)
        if params.text("symbol"):
            rows = self._wallet.positions(self._linear(params))
            return listing("linear", rows, "")
        coin = params.text("settleCoin")
        if not coin:
            raise BybitError("Missing some parameters that must be filled in, please check")
        held = [row for row in self._wallet.held() if row.instrument.quote == coin]
        found = [self._wallet.position(r.instrument, r.leg, r, renamed=False) for r in held]
        return listing("linear", found, "")

    def wallet(self, params: Params) -> dict[str, Any]:
        """Tell the wallet: all coins that were ever held, or those that are named."""
        if params.text("accountType") != "UNIFIED":
            raise BybitError("accountType only support UNIFIED.")
        coins = params.text("coin")
        return {"list": [self._wallet.account(coins.split(",") if coins else None)]}

    def info(self, params: Params) -> dict[str, Any]:
        """Tell the account's settings."""
        return self._wallet.info()

    def _linear(self, params: Params) -> Instrument:
        if params.market is not Market.LINEAR:
            raise BybitError("params error: Category is invalid")
        return self._orders.named(params)
