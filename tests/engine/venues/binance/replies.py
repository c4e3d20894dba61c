"""Binance's answers about BTCUSDT, as its documentation writes them, for tests to script."""

from typing import Any


def spot_order(**changes: Any) -> dict[str, Any]:
    """A spot order that bought 0.01 at 50,000 in two executions."""
    return {
        "symbol": "BTCUSDT",
        "orderId": 28,
        "orderListId": -1,
        "clientOrderId": "abcdefghijklmnopqrstuvwxyze1",
        "transactTime": 1_700_000_000_000,
        "price": "0.00000000",
        "origQty": "0.01000000",
        "executedQty": "0.01000000",
        "cummulativeQuoteQty": "500.00000000",
        "status": "FILLED",
        "timeInForce": "GTC",
        "type": "MARKET",
        "side": "BUY",
        **changes,
    }


def spot_fill(number: int, qty: str, asset: str = "BTC", fee: str = "0.00000400") -> dict[str, Any]:
    """An execution in the full answer to an order."""
    return {
        "price": "50000.00",
        "qty": qty,
        "commission": fee,
        "commissionAsset": asset,
        "tradeId": number,
    }


def spot_trade(
    number: int, order_id: int = 28, qty: str = "0.01", **changes: Any
) -> dict[str, Any]:
    """A row of myTrades."""
    return {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": order_id,
        "price": "50000.00",
        "qty": qty,
        "commission": "0.00001",
        "commissionAsset": "BTC",
        "time": 1_700_000_000_000,
        "isBuyer": True,
        "isMaker": False,
        **changes,
    }


def usdm_order(**changes: Any) -> dict[str, Any]:
    """A futures order that bought 0.01."""
    return {
        "clientOrderId": "abcdefghijklmnopqrstuvwxyze1",
        "executedQty": "0.010",
        "orderId": 91,
        "origQty": "0.010",
        "side": "BUY",
        "positionSide": "BOTH",
        "status": "FILLED",
        "symbol": "BTCUSDT",
        "type": "MARKET",
        "updateTime": 1_700_000_000_000,
        **changes,
    }


def usdm_trade(
    number: int, order_id: int = 91, qty: str = "0.010", **changes: Any
) -> dict[str, Any]:
    """A row of userTrades."""
    return {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": order_id,
        "price": "50000.0",
        "qty": qty,
        "commission": "0.2",
        "commissionAsset": "USDT",
        "time": 1_700_000_000_000,
        "side": "BUY",
        "positionSide": "BOTH",
        "buyer": True,
        "maker": False,
        **changes,
    }


def algo(**changes: Any) -> dict[str, Any]:
    """A conditional order at rest."""
    return {
        "algoId": 700,
        "clientAlgoId": "abcdefghijklmnopqrstuvwxyzb1",
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "BOTH",
        "quantity": "0.010",
        "algoStatus": "NEW",
        "actualOrderId": "",
        "triggerPrice": "40000.0",
        "createTime": 1_700_000_000_000,
        **changes,
    }


def spot_account(**changes: Any) -> dict[str, Any]:
    """The spot wallet."""
    return {
        "canTrade": True,
        "commissionRates": {"taker": "0.00100000"},
        "balances": [{"asset": "USDT", "free": "900.0", "locked": "100.0"}],
        **changes,
    }


def usdm_balances() -> list[dict[str, Any]]:
    """The futures wallet: 1,000 of which 850 are free."""
    return [
        {"asset": "USDT", "balance": "1000.0", "availableBalance": "850.0"},
        {"asset": "BNB", "balance": "0.0", "availableBalance": "0.0"},
    ]


def position(amount: str, side: str = "BOTH", symbol: str = "BTCUSDT") -> dict[str, Any]:
    """A row of positionRisk."""
    return {
        "symbol": symbol,
        "positionAmt": amount,
        "entryPrice": "50000.0",
        "markPrice": "50100.0",
        "liquidationPrice": "30000.0",
        "positionSide": side,
    }


def symbol_config(leverage: int, margin: str = "CROSSED") -> list[dict[str, Any]]:
    """The settings of an instrument."""
    return [
        {
            "symbol": "BTCUSDT",
            "marginType": margin,
            "isAutoAddMargin": "false",
            "leverage": leverage,
            "maxNotionalValue": "1000000",
        }
    ]
