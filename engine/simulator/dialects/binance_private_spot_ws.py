"""Binance's spot WebSocket API, as far as user data needs it.

Source: spot documentation, "WebSocket API": requests ``{id, method, params}``, signed over the
parameters in alphabetical order; listen keys of spot ended on 20 February 2026.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.model.instrument import Market
from engine.simulator.dialects.binance_private_front import BinanceFront
from engine.simulator.dialects.binance_private_keys import Key, check_time
from engine.simulator.dialects.binance_private_params import Denied, Params
from engine.simulator.dialects.binance_private_spot import SpotAccount
from engine.simulator.dialects.binance_rest import BinanceError, missing
from engine.simulator.dialects.faults import Faults
from engine.simulator.dialects.private_stream import PrivateStream
from engine.simulator.dialects.session import Session

TOPIC = "user"


class SpotApi:
    """The connections to the WebSocket API of one account."""

    venue = "binance"
    market = Market.SPOT

    def __init__(self, account: SpotAccount, key: Key, front: BinanceFront, faults: Faults) -> None:
        self.stream = PrivateStream(self.venue, faults)
        self.hub = self.stream.hub
        self._key = key
        self._front = front
        self._numbers: dict[Session, int] = {}
        self._next = itertools.count()
        account.tellers.append(self._tell)

    async def run(self) -> None:
        """Nothing goes by time here."""

    def on_open(self, session: Session, streams: Sequence[str]) -> None:
        """Take in a new connection; it hears nothing before it subscribes."""
        self.stream.join(session)

    def on_close(self, session: Session) -> None:
        """Forget a connection that ended."""
        self._numbers.pop(session, None)
        self.stream.leave(session)

    def on_message(self, session: Session, text: str | bytes) -> bool:
        """Answer a request; always keeps the connection."""
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = None
        if not isinstance(request, dict):
            self._refuse(session, None, BinanceError(-1135, "Invalid JSON Request"), 400)
            return True
        name = request.get("id")
        try:
            result = self._carry_out(session, request)
        except Denied as denied:
            self._refuse(session, name, denied, denied.status)
        except BinanceError as error:
            self._refuse(session, name, error, 400)
        else:
            answer = {"id": name, "status": 200, "result": result, "rateLimits": []}
            session.reply(msgspec.json.encode(answer))
        return True

    def _refuse(self, session: Session, name: Any, error: BinanceError, status: int) -> None:
        body = {"code": error.code, "msg": error.message}
        answer = {"id": name, "status": status, "error": body, "rateLimits": []}
        session.reply(msgspec.json.encode(answer))

    def _carry_out(self, session: Session, request: dict[str, Any]) -> Any:
        method, params = request.get("method"), request.get("params") or {}
        if not isinstance(params, dict):
            raise BinanceError(-1135, "Invalid 'params' in JSON request; expected an object.")
        match method:
            case "ping":
                return {}
            case "time":
                return {"serverTime": self._front.now_ms()}
            case "userDataStream.subscribe.signature":
                return self._subscribe(session, params)
            case "userDataStream.unsubscribe":
                self._numbers.pop(session, None)
                self.stream.log_out(session)
                return {}
        raise BinanceError(-1135, f"Unknown method '{method}'.")

    def _subscribe(self, session: Session, params: dict[str, Any]) -> Any:
        fields = sorted((name, str(value)) for name, value in params.items())
        signed = [(name, value) for name, value in fields if name != "signature"]
        given = str(params.get("apiKey") or "")
        if not given:
            raise missing("apiKey")
        self._key.check_key(given)
        payload = "&".join(f"{name}={value}" for name, value in signed)
        self._key.check_signature(payload, str(params.get("signature") or ""))
        check_time(Params(Market.SPOT, signed), self._front.now_ms())
        if session in self._numbers:
            raise BinanceError(-2036, "Already subscribed to this user data stream.")
        self._numbers[session] = next(self._next)
        self.stream.log_in(session)
        self.hub.subscribe(session, TOPIC)
        return {"subscriptionId": self._numbers[session]}

    def _tell(self, event: dict[str, Any]) -> None:
        for session in list(self.stream.hearers(TOPIC)):
            frame = {"subscriptionId": self._numbers.get(session, 0), "event": event}
            self.stream.send(session, self.market, msgspec.json.encode(frame))
