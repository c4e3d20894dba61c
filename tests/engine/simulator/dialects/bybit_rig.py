"""A client of Bybit's private side that signs by itself, sharing no code with the simulator."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
from pybit.unified_trading import HTTP

from tests.engine.simulator.rig import Client, Rig, quiet

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}
SPOT = {"category": "spot", "symbol": "BTCUSDT"}
ALL_TOPICS = ("order", "execution", "position", "wallet")


def hexed(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class Trader:
    """Asks as the account's owner; every part of a request can be spoilt."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        pair = rig.server.keys["bybit"]
        self.key, self.secret = pair["key"], pair["secret"]
        self.window = "5000"
        self.ahead_ms = 0

    def headers(self, payload: str, **spoilt: str) -> dict[str, str]:
        stamp = str(time.time_ns() // 1_000_000 + self.ahead_ms)
        return {
            "X-BAPI-API-KEY": self.key,
            "X-BAPI-SIGN": hexed(self.secret, stamp + self.key + self.window + payload),
            "X-BAPI-SIGN-TYPE": "2",
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": self.window,
            "Content-Type": "application/json",
        } | spoilt

    async def raw_get(self, path: str, query: str = "", **spoilt: str) -> httpx.Response:
        url = f"{self.rig.server.urls['BYBIT_REST_URL']}{path}"
        url = f"{url}?{query}" if query else url
        return await self.rig.http.get(url, headers=self.headers(query, **spoilt))

    async def raw_post(self, path: str, body: str, **spoilt: str) -> httpx.Response:
        url = f"{self.rig.server.urls['BYBIT_REST_URL']}{path}"
        return await self.rig.http.post(url, content=body, headers=self.headers(body, **spoilt))

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the whole envelope."""
        query = "&".join(f"{name}={value}" for name, value in params.items())
        answer = await self.raw_get(path, query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the whole envelope."""
        answer = await self.raw_post(path, json.dumps(params))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def result(self, path: str, **params: Any) -> dict[str, Any]:
        body = await self.get(path, **params)
        assert body["retCode"] == 0, body
        return body["result"]

    async def create(self, **params: Any) -> dict[str, Any]:
        return await self.post("/v5/order/create", **params)

    async def market(self, side: str, qty: str, **params: Any) -> str:
        """Place a market order on linear (or as told); returns its id."""
        body = {**LINEAR, "side": side, "orderType": "Market", "qty": qty, **params}
        answer = await self.create(**body)
        assert answer["retCode"] == 0, answer
        return answer["result"]["orderId"]

    async def order(self, order_id: str, wanted: str, **scope: str) -> dict[str, Any]:
        """Wait until an order has a status; returns its row."""
        async with asyncio.timeout(5):
            while True:
                params = {**(scope or LINEAR), "orderId": order_id}
                (row,) = (await self.result("/v5/order/realtime", **params))["list"]
                if row["orderStatus"] == wanted:
                    return row
                await asyncio.sleep(0.05)

    async def filled(self, side: str, qty: str, **params: Any) -> dict[str, Any]:
        """Place a market order and wait for its end."""
        order_id = await self.market(side, qty, **params)
        scope = {"category": params.get("category", "linear"), "symbol": "BTCUSDT"}
        return await self.order(order_id, "Filled", **scope)

    async def position(self) -> dict[str, Any]:
        (row,) = (await self.result("/v5/position/list", **LINEAR))["list"]
        return row

    async def control(self, **body: Any) -> dict[str, Any]:
        """Act on the account from outside."""
        answer = await self.rig.ask("account", {"venue": "bybit", **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def log_in(self, client: Client, ahead_ms: int = 5000) -> Any:
        expires = time.time_ns() // 1_000_000 + ahead_ms
        sign = hexed(self.secret, f"GET/realtime{expires}")
        return await client.ask({"op": "auth", "args": [self.key, expires, sign], "req_id": "a1"})

    @contextlib.asynccontextmanager
    async def stream(self, *topics: str) -> AsyncIterator[Client]:
        """A logged-in session that hears topics, all of them by default."""
        async with self.rig.client("BYBIT_WS_PRIVATE_URL") as client:
            assert (await self.log_in(client))["success"]
            assert (await client.subscribe(*(topics or ALL_TOPICS)))["success"]
            client.texts.clear()
            yield client

    def pybit(self, **options: Any) -> Any:
        """The venue's own client, for a thread; its retries are off unless asked for."""
        session: Any = HTTP(api_key=self.key, api_secret=self.secret, **options)
        session.endpoint = self.rig.server.urls["BYBIT_REST_URL"]
        return session

    async def with_pybit(self, calls: Callable[[Any], Any], **options: Any) -> Any:
        """Run calls of the venue's own client in a thread."""
        session = self.pybit(**options)
        try:
            return await asyncio.to_thread(calls, session)
        finally:
            session.client.close()


@contextlib.asynccontextmanager
async def trading(directory: Path, price: Any = 1000, **options: Any) -> AsyncIterator[Trader]:
    """A simulator where BTCUSDT costs ``price`` on both markets, and its account's owner."""
    async with quiet(directory, **options) as rig:
        for market in ("linear", "spot"):
            await rig.price(f"bybit:{market}:BTCUSDT", price)
        yield Trader(rig)


def events(client: Client, topic: str) -> list[dict[str, Any]]:
    """The rows that a session has received of a topic, oldest first."""
    frames = [json.loads(text) for text in client.texts]
    return [row for frame in frames if frame.get("topic") == topic for row in frame["data"]]
