"""ccxt pro: ``watch_trades`` of bybit in a loop; each call returns the trades since the last."""

import asyncio

import ccxt.pro
from tally import Tally, arguments

SYMBOL = "BTC/USDT:USDT"
MARKET = {
    "id": "BTCUSDT",
    "symbol": SYMBOL,
    "base": "BTC",
    "quote": "USDT",
    "settle": "USDT",
    "baseId": "BTC",
    "quoteId": "USDT",
    "settleId": "USDT",
    "type": "swap",
    "swap": True,
    "contract": True,
    "linear": True,
    "inverse": False,
    "active": True,
    "contractSize": 1,
    "precision": {"amount": 0.001, "price": 0.1},
}


async def stream(url: str, tally: Tally) -> None:
    """Take prices for ever; the market is given, so that none is asked for by REST."""
    exchange = ccxt.pro.bybit()
    exchange.urls["api"]["ws"]["public"]["linear"] = f"{url}/linear"
    exchange.set_markets([exchange.safe_market_structure(MARKET)])
    while True:
        for trade in await exchange.watch_trades(SYMBOL):
            tally.take(trade["price"])


if __name__ == "__main__":
    args = arguments()
    asyncio.run(stream(args["url"], Tally(float(args["last"]))))
