"""python-binance: its socket manager's trade socket, awaited in a loop as its README does."""

import asyncio

from binance import AsyncClient, BinanceSocketManager
from tally import Tally, arguments


async def stream(url: str, tally: Tally) -> None:
    """Take prices until the library hands on an error instead; a client made so asks no REST."""
    manager = BinanceSocketManager(AsyncClient())
    manager.STREAM_URL = f"{url}/"
    async with manager.trade_socket("BTCUSDT") as socket:
        while (message := await socket.recv())["e"] != "error":
            tally.take(message["p"])
    await asyncio.Event().wait()


if __name__ == "__main__":
    args = arguments()
    asyncio.run(stream(args["root"], Tally(f"{args['last']:.2f}")))
