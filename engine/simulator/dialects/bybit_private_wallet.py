"""Bybit's rows of the account: positions, wallet, margin mode.

Fields: Bybit v5 docs, position/position-info, account/wallet-balance, account/account-info and the
private streams position and wallet. ``locked`` is what spot orders hold; the margin of positions is
``totalPositionIM``. In isolated margin mode the account's totals that need cross margin are empty.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from engine.model.events import Balance
from engine.model.exits import Side
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.money import ONE, ZERO, plain
from engine.simulator.desk import Desk
from engine.simulator.desk_rows import MarginMode, PositionRow

STABLE = ("USDT", "USDC")
MODES = {
    "ISOLATED_MARGIN": MarginMode.ISOLATED,
    "REGULAR_MARGIN": MarginMode.CROSS,
}
LEGS: dict[Side | None, int] = {None: 0, Side.LONG: 1, Side.SHORT: 2}


def margin_word(mode: MarginMode) -> str:
    return next(word for word, each in MODES.items() if each is mode)


class Wallet:
    """Writes the rows of one account."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._started_ms = str(desk.place.time.now_ms())

    # Positions

    def held(self) -> list[PositionRow]:
        """Return the open positions."""
        return self._desk.positions()

    def positions(self, instrument: Instrument, renamed: bool = False) -> list[dict[str, Any]]:
        """Return the rows of an instrument, flat ones too: one, or in hedge mode two."""
        rows = {row.leg: row for row in self.held() if row.instrument.id == instrument.id}
        legs: tuple[Side | None, ...] = (Side.LONG, Side.SHORT) if self._desk.hedged else (None,)
        return [self.position(instrument, leg, rows.get(leg), renamed) for leg in legs]

    def position(
        self, instrument: Instrument, leg: Side | None, row: PositionRow | None, renamed: bool
    ) -> dict[str, Any]:
        """Return one row.

        Args:
            renamed: the stream writes ``entryPrice`` where REST writes ``avgPrice``, and tells
                the category.
        """
        desk, now_ms = self._desk, self._desk.place.time.now_ms()
        mode = desk.margin_mode(instrument.id)
        entry = ZERO if row is None else row.entry_price
        qty = ZERO if row is None else row.qty
        side = "" if row is None else "Buy" if row.side is Side.LONG else "Sell"
        found: dict[str, Any] = {
            "positionIdx": LEGS[leg],
            "riskId": 1,
            "riskLimitValue": "2000000",
            "symbol": instrument.id.symbol,
            "side": side,
            "size": plain(qty),
            ("entryPrice" if renamed else "avgPrice"): plain(entry),
            "positionValue": plain(qty * entry) if row is not None else "",
            "tradeMode": 0,
            "positionStatus": "Normal",
            "autoAddMargin": 0,
            "adlRankIndicator": 0 if row is None else 2,
            "leverage": plain(desk.leverage(instrument.id)),
            "positionBalance": plain(row.margin) if row is not None else "0",
            "markPrice": mark_text(desk, instrument.id),
            "liqPrice": self._liquidation(instrument, row),
            "bustPrice": "",
            "positionMM": plain(row.maintenance) if row is not None else "0",
            "positionIM": plain(row.margin) if row is not None else "0",
            "positionIMByMp": plain(row.margin) if row is not None else "0",
            "positionMMByMp": plain(row.maintenance) if row is not None else "0",
            "tpslMode": "Full",
            "takeProfit": "",
            "stopLoss": "",
            "trailingStop": "0",
            "unrealisedPnl": plain(row.unrealised) if row is not None else "",
            "curRealisedPnl": "0",
            "cumRealisedPnl": "0",
            "seq": self._desk.model.next_id,
            "isReduceOnly": False,
            "mmrSysUpdatedTime": "",
            "leverageSysUpdatedTime": "",
            "sessionAvgPrice": "",
            "createdTime": self._started_ms,
            "updatedTime": str(now_ms),
        }
        if mode is MarginMode.ISOLATED:
            found["tradeMode"] = 1
        return found | ({"category": "linear"} if renamed else {})

    def _liquidation(self, instrument: Instrument, row: PositionRow | None) -> str:
        """Return the liquidation price on the tick; empty where there is none."""
        if row is None or row.liquidation_price is None:
            return ""
        listing = self._desk.place.state(instrument.id).listing
        return listing.price_text(row.liquidation_price)

    # Balances

    def account(self, coins: Collection[str] | None = None) -> dict[str, Any]:
        """Return the wallet with these coins (all by default)."""
        balances = self._desk.balances()
        isolated = self._desk.margin_mode() is MarginMode.ISOLATED
        rows = {balance.asset: self._coin(balance) for balance in balances}
        equity = sum((Decimal(row["usdValue"]) for row in rows.values()), ZERO)
        wallet = sum((self._worth(each.asset) * each.total for each in balances), ZERO)
        free = sum((self._worth(each.asset) * each.free for each in balances), ZERO)
        margin = sum((row.margin for row in self.held()), ZERO)
        maintenance = sum((row.maintenance for row in self.held()), ZERO)
        cross = {
            "accountIMRate": _share(margin, equity),
            "accountMMRate": _share(maintenance, equity),
            "totalMarginBalance": plain(equity),
            "totalAvailableBalance": plain(free),
            "totalInitialMargin": plain(margin),
            "totalMaintenanceMargin": plain(maintenance),
        }
        unrealised = sum((row.unrealised for row in self.held()), ZERO)
        shown = rows if coins is None else {c: r for c, r in rows.items() if c in coins}
        return {
            "totalEquity": plain(equity),
            "totalWalletBalance": plain(wallet),
            "totalPerpUPL": plain(unrealised),
            "accountType": "UNIFIED",
            "accountLTV": "0",
            **(dict.fromkeys(cross, "") if isolated else cross),
            "coin": list(shown.values()),
        }

    def _coin(self, balance: Balance) -> dict[str, Any]:
        mine = [row for row in self.held() if row.instrument.quote == balance.asset]
        margin = sum((row.margin for row in mine), ZERO)
        unrealised = sum((row.unrealised for row in mine), ZERO)
        equity = balance.total + unrealised
        return {
            "coin": balance.asset,
            "equity": plain(equity),
            "usdValue": plain(equity * self._worth(balance.asset)),
            "walletBalance": plain(balance.total),
            "availableToWithdraw": "",
            "availableToBorrow": "",
            "borrowAmount": "0",
            "spotBorrow": "0",
            "accruedInterest": "0",
            "totalOrderIM": "0",
            "totalPositionIM": plain(margin),
            "totalPositionMM": plain(sum((row.maintenance for row in mine), ZERO)),
            "unrealisedPnl": plain(unrealised),
            "cumRealisedPnl": "0",
            "bonus": "0",
            "collateralSwitch": True,
            "marginCollateral": True,
            "locked": plain(max(balance.locked - margin, ZERO)),
            "spotHedgingQty": "0",
        }

    def _worth(self, asset: str) -> Decimal:
        """Return what one unit is worth in USDT; zero where no price is known."""
        if asset in STABLE:
            return ONE
        state = self._desk.place.find(InstrumentId("bybit", Market.SPOT, f"{asset}USDT"))
        return ZERO if state is None or state.last is None else Decimal(state.last)

    def info(self) -> dict[str, Any]:
        """Return the account's settings (docs, account/account-info)."""
        return {
            "marginMode": margin_word(self._desk.margin_mode()),
            "updatedTime": self._started_ms,
            "unifiedMarginStatus": 6,
            "dcpStatus": "OFF",
            "timeWindow": 10,
            "smpGroup": 0,
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
        }


def mark_text(desk: Desk, instrument: InstrumentId) -> str:
    """Return the mark price of an instrument as the venue writes it, empty before the first."""
    state = desk.place.find(instrument)
    return state.mark.mark if state is not None and state.mark is not None else ""


def _share(part: Decimal, whole: Decimal) -> str:
    return plain((part / whole).quantize(Decimal("0.0001"))) if whole > ZERO else "0"
