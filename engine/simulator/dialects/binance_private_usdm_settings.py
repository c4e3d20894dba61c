"""What a USD-M account of Binance is set to, and what it holds.

Source: USD-M documentation, "Account" and "Trade" (August 2026).
"""

from decimal import Decimal
from typing import Any

from engine.clock import NS_PER_MS
from engine.model.instrument import InstrumentId, Market
from engine.model.money import plain
from engine.simulator.account import MarginMode
from engine.simulator.desk import Desk
from engine.simulator.dialects.binance_private_params import Params
from engine.simulator.dialects.binance_private_usdm import refusal
from engine.simulator.dialects.binance_private_usdm_rows import position_row
from engine.simulator.dialects.binance_rest import BinanceError
from engine.simulator.filters import Refused

MOST_LEVERAGE = 125
Row = dict[str, Any]


class UsdmSettings:
    """Answers what is asked of the account as a whole."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def _key(self, params: Params) -> InstrumentId:
        found = self.desk.instrument(InstrumentId("binance", Market.LINEAR, params.text("symbol")))
        if found is None:
            raise BinanceError(-1121, "Invalid symbol.")
        return found.id

    def positions(self, params: Params) -> list[Row]:
        """Tell positions; only symbols with one (v3)."""
        wanted = params.text("symbol")
        now_ms = self.desk.now_ns() // NS_PER_MS
        return [
            position_row(each, now_ms)
            for each in self.desk.positions()
            if wanted in ("", each.instrument.id.symbol)
        ]

    def balances(self, _: Params) -> list[Row]:
        """Tell wallet balances, and what of them is free for margin."""
        return [
            {
                "accountAlias": "SgsR",
                "asset": each.asset,
                "balance": plain(each.total),
                "crossWalletBalance": plain(each.total),
                "crossUnPnl": "0",
                "availableBalance": plain(each.free),
                "maxWithdrawAmount": plain(each.free),
                "marginAvailable": True,
                "updateTime": self.desk.now_ns() // NS_PER_MS,
            }
            for each in self.desk.balances()
        ]

    def income(self, params: Params) -> list[Row]:
        """Tell funding, oldest first; other kinds of income are not kept."""
        kind, wanted = params.text("incomeType"), params.text("symbol")
        if kind not in ("", "FUNDING_FEE"):
            return []
        start_ms, end_ms = params.span_ms()
        limit = params.whole("limit", 100, 1000)
        rows = [
            {
                "symbol": paid.instrument.id.symbol,
                "incomeType": "FUNDING_FEE",
                "income": plain(-paid.amount),
                "asset": paid.instrument.quote,
                "info": "FUNDING_FEE",
                "time": paid.time_ns // NS_PER_MS,
                "tranId": paid.venue_trade_id,
                "tradeId": "",
            }
            for paid in self.desk.settlements()
            if wanted in ("", paid.instrument.id.symbol)
            and start_ms <= paid.time_ns // NS_PER_MS <= end_ms
        ]
        return rows[:limit]

    def config(self, _: Params) -> Row:
        """Tell the position mode and what the account may do."""
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": self.desk.hedged,
            "updateTime": 0,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
        }

    def symbol_config(self, params: Params) -> list[Row]:
        """Tell leverage and margin type of a symbol."""
        key = self._key(params)
        isolated = self.desk.margin_mode(key) is MarginMode.ISOLATED
        return [
            {
                "symbol": key.symbol,
                "marginType": "ISOLATED" if isolated else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": int(self.desk.leverage(key)),
                "maxNotionalValue": "1000000",
            }
        ]

    def set_leverage(self, params: Params) -> Row:
        """Set a symbol's leverage."""
        key, leverage = self._key(params), params.whole("leverage")
        if not 1 <= leverage <= MOST_LEVERAGE:
            raise BinanceError(-4028, f"Leverage {leverage} is not valid")
        try:
            self.desk.set_leverage(key, Decimal(leverage))
        except Refused as refused:
            raise refusal(refused) from None
        return {"leverage": leverage, "maxNotionalValue": "1000000", "symbol": key.symbol}

    def set_margin_type(self, params: Params) -> Row:
        """Set a symbol's margin type."""
        key = self._key(params)
        modes = {"ISOLATED": MarginMode.ISOLATED, "CROSSED": MarginMode.CROSS}
        mode = modes.get(params.text("marginType"))
        if mode is None:
            raise BinanceError(-1102, "Invalid marginType.")
        if mode is self.desk.margin_mode(key):
            raise BinanceError(-4046, "No need to change margin type.")
        try:
            self.desk.set_margin_mode(mode, key)
        except Refused as refused:
            is_order = str(refused).startswith("open_orders")
            text = "Margin type cannot be changed if there exists"
            if is_order:
                raise BinanceError(-4047, f"{text} open orders.") from None
            raise BinanceError(-4048, f"{text} position.") from None
        return {"code": 200, "msg": "success"}

    def position_mode(self, _: Params) -> Row:
        """Tell whether long and short are kept apart."""
        return {"dualSidePosition": self.desk.hedged}

    def set_position_mode(self, params: Params) -> Row:
        """Keep long and short apart, or net them."""
        hedged = params.flag("dualSidePosition")
        if hedged is self.desk.hedged:
            raise BinanceError(-4059, "No need to change position side.")
        try:
            self.desk.set_hedged(hedged)
        except Refused as refused:
            if str(refused).startswith("open_orders"):
                text = "Position side cannot be changed if there exists open orders."
                raise BinanceError(-4067, text) from None
            text = "Position side cannot be changed if there exists position."
            raise BinanceError(-4068, text) from None
        return {"code": 200, "msg": "success"}

    def commission(self, params: Params) -> Row:
        """Tell the fees of a symbol."""
        rate = plain(self.desk.model.rules.fee_rates[Market.LINEAR])
        symbol = self._key(params).symbol
        return {"symbol": symbol, "makerCommissionRate": rate, "takerCommissionRate": rate}
