"""A signed client of the simulated Binance, written without the adapter and without the library."""

import contextlib
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx

from engine.clock import SystemClock
from engine.simulator.server import SimulatorServer
from tests.engine.simulator.rig import Client, Rig

SOL, BTC = "SOLUSDT", "BTCUSDT"


class Binance:
    """Signs by the general information of both markets."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        pair = rig.server.keys["binance"]
        self.key, self.secret = pair["key"], pair["secret"]
        self.last: httpx.Response | None = None

    def signature(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def signed(self, params: dict[str, Any], **changes: Any) -> str:
        fields = {**params, "timestamp": int(time.time() * 1000), **changes}
        text = urlencode(fields)
        return f"{text}&signature={self.signature(text)}"

    async def send(self, method: str, path: str, text: str, key: str | None = None) -> Any:
        """Send what is signed already; returns the body."""
        url = self.rig.server.urls["BINANCE_SPOT_REST_URL"] + path
        headers = {"X-MBX-APIKEY": self.key if key is None else key}
        in_body = method == "POST"
        if in_body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.last = await self.rig.http.request(
            method,
            url if in_body or not text else f"{url}?{text}",
            headers=headers,
            content=text if in_body else None,
        )
        return self.last.json()

    async def ask(self, method: str, path: str, **params: Any) -> Any:
        return await self.send(method, path, self.signed(params))

    async def get(self, path: str, **params: Any) -> Any:
        return await self.ask("GET", path, **params)

    async def post(self, path: str, **params: Any) -> Any:
        return await self.ask("POST", path, **params)

    async def delete(self, path: str, **params: Any) -> Any:
        return await self.ask("DELETE", path, **params)

    async def refused(self, method: str, path: str, **params: Any) -> int:
        """The code of a request that is refused."""
        body = await self.ask(method, path, **params)
        assert self.last is not None
        assert self.last.status_code >= 400, body
        return int(body["code"])

    async def usdm(self, side: str = "BUY", qty: str = "1", **fields: Any) -> Any:
        """Place a futures market order and wait for its end."""
        asked = {"symbol": SOL, "side": side, "type": "MARKET", "quantity": qty}
        return await self.post("/fapi/v1/order", **asked, newOrderRespType="RESULT", **fields)

    async def spot(self, side: str = "BUY", qty: str = "1", **fields: Any) -> Any:
        """Place a spot market order; answered in full."""
        asked = {"symbol": SOL, "side": side, "type": "MARKET", "quantity": qty}
        return await self.post("/api/v3/order", **asked, **fields)

    async def control(self, action: str, market: str = "linear", **fields: Any) -> None:
        body = {"venue": "binance", "action": action, "market": market, **fields}
        answer = await self.rig.ask("account", body)
        assert answer.status_code == 200, answer.text

    @contextlib.asynccontextmanager
    async def user_stream(self) -> AsyncIterator[Client]:
        """The events of the futures account."""
        told = await self.send("POST", "/fapi/v1/listenKey", "")
        async with self.rig.usdm(f"/private/ws?listenKey={told['listenKey']}") as client:
            yield client

    @contextlib.asynccontextmanager
    async def api(self) -> AsyncIterator[Client]:
        """A connection to the spot WebSocket API."""
        async with self.rig.client("BINANCE_SPOT_WS_API_URL") as client:
            yield client

    def subscription(self, **changes: Any) -> dict[str, Any]:
        params = {"apiKey": self.key, "timestamp": int(time.time() * 1000), **changes}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        signed = params | {"signature": self.signature(text)}
        return {"id": "s", "method": "userDataStream.subscribe.signature", "params": signed}


@contextlib.asynccontextmanager
async def binance() -> AsyncIterator[Binance]:
    """A simulator with SOL at 150 on both markets."""
    async with (
        SimulatorServer(SystemClock()) as server,
        httpx.AsyncClient(trust_env=False, timeout=10) as http,
    ):
        rig = Rig(server, http)
        for market in ("spot", "linear"):
            await rig.price(f"binance:{market}:{SOL}", 150)
        yield Binance(rig)
