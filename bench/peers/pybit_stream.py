"""pybit: its WebSocket of v5 with a callback for trades, on the thread that it makes."""

import threading
from typing import Any

from pybit import unified_trading
from tally import Tally, arguments


def stream(url: str, tally: Tally) -> None:
    """Take prices for ever."""

    def handle(message: dict[str, Any]) -> None:
        for row in message["data"]:
            tally.take(row["p"])

    unified_trading.PUBLIC_WSS = f"{url}/{{CHANNEL_TYPE}}"
    socket = unified_trading.WebSocket(testnet=False, channel_type="linear")
    socket.trade_stream("BTCUSDT", handle)
    threading.Event().wait()


if __name__ == "__main__":
    args = arguments()
    stream(args["url"], Tally(f"{args['last']:.2f}"))
