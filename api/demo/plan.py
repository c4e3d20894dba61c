"""What the demo does: some twenty signals as TradingView would send them, and scripted prices.

Signals with narrow limits are left to the playback: recorded prices move a few hundredths of a per
cent in the seconds that the demo takes. Signals with wide limits are closed by scripted prices.
"""

from decimal import Decimal
from typing import Any

from msgspec import Struct

MOVE_STEPS = 8
LATENCY_MS = 100
"""From an order's arrival at the paper account to the first moment at which it may be filled."""


class PlannedSignal(Struct, frozen=True):
    """A webhook body without its secret, and what the signal's recorded outcome must be."""

    body: dict[str, Any]
    outcome: str = "opened"

    @property
    def key(self) -> str:
        """The sender's id of the signal."""
        return str(self.body["id"])


class ScriptedMove(Struct, frozen=True):
    """Push an instrument's price by ``percent`` of its start, in ``MOVE_STEPS`` equal steps."""

    instrument: str
    percent: Decimal


def _signal(
    key: str, action: str, symbol: str, outcome: str = "opened", **fields: Any
) -> PlannedSignal:
    body = {"id": key, "action": action, "symbol": symbol, "strategy": key, **fields}
    return PlannedSignal(body, outcome)


def _limits(take_profit: str, stop_loss: str) -> dict[str, str]:
    return {"take_profit_percent": take_profit, "stop_loss_percent": stop_loss}


# Limits that playback reaches by itself.
NARROW: tuple[PlannedSignal, ...] = (
    _signal("bnc-spot-1", "buy", "BINANCE:BTCUSDT", market="spot", **_limits("0.02", "0.02")),
    _signal("bnc-spot-2", "buy", "BINANCE:BTCUSDT", market="spot", **_limits("0.03", "0.05")),
    _signal("bnc-spot-3", "buy", "BINANCE:BTCUSDT", market="spot", **_limits("1", "0.1")),
    _signal("bnc-spot-4", "buy", "BINANCE:ETHUSDT", market="spot", **_limits("0.02", "0.03")),
    _signal("bnc-spot-5", "buy", "BINANCE:ETHUSDT", market="spot", **_limits("0.03", "0.06")),
    _signal("bnc-perp-1", "buy", "BINANCE:BTCUSDT.P", **_limits("0.02", "0.01"), qty="0.01"),
    _signal("bnc-perp-2", "buy", "BINANCE:BTCUSDT.P", **_limits("0.01", "0.02"), qty="0.01"),
    _signal("bnc-perp-3", "sell", "BINANCE:ETHUSDTPERP", **_limits("0.02", "1"), quote_qty="200"),
    _signal("byb-perp-1", "sell", "BYBIT:BTCUSDT.P", **_limits("0.001", "0.01"), qty="0.01"),
    _signal("byb-perp-2", "sell", "BYBIT:BTCUSDT.P", **_limits("0.002", "0.002"), qty="0.01"),
    _signal("byb-perp-3", "buy", "BYBIT:ETHUSDT.P", **_limits("0.002", "0.01"), qty="0.1"),
    _signal("byb-spot-1", "buy", "BYBIT:BTCUSDT", market="spot", **_limits("0.01", "0.001")),
)

# The 15 % defaults, reached by scripted prices.
WIDE: tuple[PlannedSignal, ...] = (
    _signal("byb-perp-4", "buy", "BYBIT:SOLUSDT.P"),
    _signal("byb-perp-5", "sell", "BYBIT:XRPUSDT.P"),
    _signal("byb-spot-2", "buy", "BYBIT:SOLUSDT", market="spot"),
    _signal("bnc-perp-4", "sell", "BINANCE:XRPUSDT.P"),
    _signal("bnc-perp-5", "buy", "BINANCE:SOLUSDT.P", percent="5"),
    _signal("bnc-spot-6", "buy", "BINANCE:XRPUSDT", market="spot", quote_qty="50"),
)

# Not opened, with a recorded reason.
UNOPENED: tuple[PlannedSignal, ...] = (
    _signal("no-short-on-spot", "sell", "BYBIT:ETHUSDT", "rejected", market="spot"),
    _signal("too-small", "buy", "BYBIT:ETHUSDT.P", "rejected", qty="0.000001"),
    _signal("too-large", "buy", "BINANCE:ETHUSDT", "rejected", market="spot", quote_qty="900000"),
    _signal("nothing-to-close", "close", "BINANCE:DOGEUSDT", "ignored", market="spot"),
)

SIGNALS = NARROW + WIDE + UNOPENED

BY_HAND = "byb-perp-4"
"""The position that is closed by REST, by the key of its signal."""

BY_SIGNAL = PlannedSignal(
    {
        "id": "close-sol",
        "action": "close",
        "symbol": "BINANCE:SOLUSDT.P",
        "strategy": "bnc-perp-5",
    },
    "closed",
)

# Over the wire: the 15 % defaults again, of which one is closed by hand and one by a signal.
WIRE: tuple[PlannedSignal, ...] = (
    _signal("wire-byb-perp-1", "buy", "BYBIT:SOLUSDT.P"),
    _signal("wire-byb-perp-2", "sell", "BYBIT:XRPUSDT.P"),
    _signal("wire-byb-spot-1", "buy", "BYBIT:SOLUSDT", market="spot"),
    _signal("wire-bnc-perp-1", "sell", "BINANCE:XRPUSDT.P"),
    _signal("wire-bnc-perp-2", "buy", "BINANCE:SOLUSDT.P", quote_qty="200"),
    _signal("wire-bnc-spot-1", "buy", "BINANCE:XRPUSDT", market="spot", quote_qty="50"),
)

WIRE_BY_HAND = "wire-byb-perp-1"

WIRE_BY_SIGNAL = PlannedSignal(
    {
        "id": "wire-close-sol",
        "action": "close",
        "symbol": "BINANCE:SOLUSDT.P",
        "strategy": "wire-bnc-perp-2",
    },
    "closed",
)

# After the restart: both limits, on both venues and markets.
MOVES: tuple[ScriptedMove, ...] = (
    ScriptedMove("bybit:linear:XRPUSDT", Decimal(-17)),  # take-profit of a short
    ScriptedMove("bybit:spot:SOLUSDT", Decimal(17)),  # take-profit of a long
    ScriptedMove("binance:linear:XRPUSDT", Decimal(17)),  # stop-loss of a short
    ScriptedMove("binance:spot:XRPUSDT", Decimal(-17)),  # stop-loss of a long
)

INSTRUMENTS: tuple[tuple[str, str], ...] = (
    ("bybit:linear:SOLUSDT", "150"),
    ("bybit:linear:XRPUSDT", "2.5"),
    ("bybit:spot:SOLUSDT", "150"),
    ("binance:linear:XRPUSDT", "2.5"),
    ("binance:linear:SOLUSDT", "150"),
    ("binance:spot:XRPUSDT", "2.5"),
)
"""Instruments without a recording and the price at which they are scripted to start."""
