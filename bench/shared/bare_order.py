"""The script that ours is compared with: a price comes in, the bare library sends the order.

Nothing is guarded, kept or checked: the frame is decoded, and a price that was not seen before is
answered with a reduce-only market order through the venue's own library.
"""

import asyncio
import json
import sys
from typing import Any

import websockets
from binance import AsyncClient
from pybit.unified_trading import HTTP
from websockets.sync.client import connect

QTY = "0.1"


def bybit(facts: dict[str, Any]) -> None:
    """Close through pybit, in the thread that reads the socket."""
    session = HTTP(api_key=facts["key"], api_secret=facts["secret"], recv_window=5000)
    session.endpoint = facts["rest"]
    session.get_server_time()
    order = {"category": "linear", "symbol": facts["symbol"], "side": "Sell", "qty": QTY}
    order |= {"orderType": "Market", "reduceOnly": True, "positionIdx": 0}
    with connect(f"{facts['ws']}/linear", compression=None) as socket:
        socket.send(json.dumps({"op": "subscribe", "args": [f"publicTrade.{facts['symbol']}"]}))
        for message in socket:
            for trade in json.loads(message).get("data", ()):
                if float(trade["p"]) in facts["prices"]:
                    session.place_order(**order, orderLinkId=_link(facts, float(trade["p"])))


async def binance(facts: dict[str, Any]) -> None:
    """Close through python-binance, in the loop that reads the socket."""

    class Client(AsyncClient):
        API_URL = f"{facts['spot_rest']}/api"
        FUTURES_URL = f"{facts['rest']}/fapi"

    client = await Client.create(facts["key"], facts["secret"])
    order = {"symbol": facts["symbol"], "side": "SELL", "type": "MARKET", "quantity": QTY}
    order |= {"reduceOnly": "true", "newOrderRespType": "RESULT"}
    url = f"{facts['ws']}/market/ws/{facts['symbol'].lower()}@aggTrade"
    async with websockets.connect(url, compression=None) as socket:
        async for message in socket:
            price = float(json.loads(message)["p"])
            if price in facts["prices"]:
                link = _link(facts, price)
                await client.futures_create_order(**order, newClientOrderId=link)


def _link(facts: dict[str, Any], price: float) -> str:
    """Name the order by its price, once: each price closes one part."""
    facts["prices"].remove(price)
    return f"bare{round(price * 100)}"


def main() -> None:
    """Run as a program: the facts are its argument."""
    facts = json.loads(sys.argv[1])
    facts["prices"] = set(map(float, facts["prices"]))
    if facts["venue"] == "bybit":
        bybit(facts)
    else:
        asyncio.run(binance(facts))


if __name__ == "__main__":
    main()
