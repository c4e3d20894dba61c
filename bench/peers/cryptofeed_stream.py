"""cryptofeed: its feed handler with a callback for Bybit's trades, on the loop that it chooses."""

import asyncio
from decimal import Decimal
from typing import Any

from cryptofeed import FeedHandler
from cryptofeed.connection import WebsocketEndpoint
from cryptofeed.defines import PERPETUAL, TRADES
from cryptofeed.exchanges import Bybit
from cryptofeed.symbols import Symbols
from cryptofeed.types import Trade
from tally import Tally, arguments

SYMBOL = "BTC-USDT-PERP"


class LoopbackBybit(Bybit):
    """Bybit without TLS, as all sides here: ``wss:`` is demanded, but a feed may change it."""

    async def _ws_authentication(
        self, address: str, options: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        return address.replace("wss:", "ws:", 1), options


def stream(url: str, tally: Tally) -> None:
    """Take prices for ever; the symbol is given, so that none is asked for by REST."""

    async def handle(trade: Trade, _receipt: float) -> None:
        tally.take(trade.price)

    info = {"tick_size": {SYMBOL: Decimal("0.10")}, "instrument_type": {SYMBOL: PERPETUAL}}
    Symbols.set(Bybit.id, {SYMBOL: "BTCUSDT"}, info)
    address = f"{url}/linear".replace("ws:", "wss:", 1)
    LoopbackBybit.websocket_endpoints = [
        WebsocketEndpoint(address, options={"compression": None}, authentication=True)
    ]
    handler = FeedHandler()
    # It chose uvloop and will ask for a current loop, which newer releases of that no longer make.
    asyncio.set_event_loop(asyncio.new_event_loop())
    handler.add_feed(LoopbackBybit(symbols=[SYMBOL], channels=[TRADES], callbacks={TRADES: handle}))
    handler.run()


if __name__ == "__main__":
    args = arguments()
    stream(args["url"], Tally(Decimal(args["last"])))
