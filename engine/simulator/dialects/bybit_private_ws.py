"""Bybit's private WebSocket, ``/v5/private``.

Source: Bybit v5 docs, "Connect" (auth over ``GET/realtime`` and the expiry, pings) and the private
streams order, execution, position and wallet: ``{id, topic, creationTime, data}``.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.model.instrument import Market
from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.bybit_private_account import BybitAccount
from engine.simulator.dialects.bybit_private_keys import BAD_SIGN, CLOCK_OFF
from engine.simulator.dialects.faults import Faults
from engine.simulator.dialects.private_stream import PrivateStream
from engine.simulator.dialects.session import Session

LOCALHOST = "127.0.0.1"
BOTH = ("order", "execution", "position", "wallet")
APART = {"order": ("linear", "spot"), "execution": ("linear", "spot"), "position": ("linear",)}


class BybitPrivate:
    """The private stream of one account."""

    venue = "bybit"
    market = Market.LINEAR

    def __init__(self, account: BybitAccount, faults: Faults) -> None:
        self._account = account
        self._faults = faults
        self.stream = PrivateStream(self.venue, faults)
        self.hub = self.stream.hub
        self._numbers = itertools.count(1)
        account.tellers.append(self.tell)

    async def run(self) -> None:
        """Nothing goes by time here."""

    def on_open(self, session: Session, streams: Sequence[str]) -> None:
        """Take in a new connection, which has to log in first."""
        self.stream.join(session)

    def on_close(self, session: Session) -> None:
        """Forget a connection that ended."""
        self.stream.leave(session)

    def on_message(self, session: Session, text: str | bytes) -> bool:
        """Answer a client's message; always keeps the connection."""
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = None
        if not isinstance(request, dict):
            self._answer(session, {}, "", success=False, ret_msg="error:invalid request")
            return True
        operation = str(request.get("op") or "")
        if operation == "ping":
            pong: dict[str, Any] = {"op": "pong", "args": [str(self._now_ms())]}
            if request.get("req_id"):
                pong["req_id"] = request["req_id"]
            pong["conn_id"] = session.conn
            session.reply(msgspec.json.encode(pong), pong=True)
        elif operation == "auth":
            self._log_in(session, request)
        elif operation in ("subscribe", "unsubscribe"):
            self._on_topics(session, request, operation)
        else:
            message = f"error:unknown op {operation}"
            self._answer(session, request, operation, success=False, ret_msg=message)
        return True

    def _log_in(self, session: Session, request: dict[str, Any]) -> None:
        try:
            self._check(request.get("args"))
        except BybitError as error:
            refusal: dict[str, Any] = {
                "op": "auth",
                "success": False,
                "retCode": error.code,
                "retMsg": error.message,
                "connId": session.conn,
            }
            session.reply(msgspec.json.encode(refusal))
            return
        self.stream.log_in(session)
        self._answer(session, request, "auth", success=True, ret_msg="")

    def _check(self, args: Any) -> None:
        """Check key, expiry (ms, ahead of the venue's clock) and signature."""
        if not isinstance(args, list) or len(args) != 3:
            raise BybitError("Params Error")
        given, expires, signature = args
        if isinstance(expires, bool) or not isinstance(expires, int):
            raise BybitError("Params Error")
        key = self._account.key
        key.check_use(str(given), LOCALHOST)
        if expires <= self._now_ms():
            raise BybitError("request expired", CLOCK_OFF)
        try:
            key.check_signature(f"GET/realtime{expires}".encode(), str(signature))
        except BybitError:
            raise BybitError("Invalid sign", BAD_SIGN) from None

    def _on_topics(self, session: Session, request: dict[str, Any], operation: str) -> None:
        args = request.get("args")
        topics = args if isinstance(args, list) and all(isinstance(a, str) for a in args) else []
        problem = self._problem(session, topics, operation)
        if problem is not None:
            self._answer(session, request, operation, success=False, ret_msg=problem)
            return
        for topic in topics:
            if operation == "unsubscribe":
                self.hub.unsubscribe(session, topic)
            else:
                self.hub.subscribe(session, topic)
        self._answer(session, request, operation, success=True, ret_msg=operation)

    def _problem(self, session: Session, topics: list[str], operation: str) -> str | None:
        """Say why a request is refused, whole; None when it is fine."""
        if not self.stream.is_logged_in(session):
            return "Request not authorized"
        if not topics:
            return "error:args is empty or not a list of topics"
        for topic in topics:
            name, _, part = topic.partition(".")
            if topic not in BOTH and part not in APART.get(name, ()):
                return f"Invalid topic: {topic}"
            if operation == "subscribe" and topic in session.topics:
                return f"error:already subscribed,topic:{topic}"
        named = {*topics, *session.topics} if operation == "subscribe" else set(topics)
        for name in BOTH:
            if name in named and any(topic.startswith(f"{name}.") for topic in named):
                return f"error:{name} is subscribed as a whole and by category"
        if operation == "subscribe" and session.rejects():
            return f"Invalid topic: {topics[0]}"
        return None

    def _answer(
        self,
        session: Session,
        request: dict[str, Any],
        operation: str,
        *,
        success: bool,
        ret_msg: str,
    ) -> None:
        answer = {"success": success, "ret_msg": ret_msg, "op": operation}
        answer["conn_id"] = session.conn
        if request.get("req_id"):
            answer["req_id"] = request["req_id"]
        session.reply(msgspec.json.encode(answer))

    # Events

    def tell(self, topic: str, market: Market | None, rows: list[dict[str, Any]]) -> None:
        """Send an event to all who hear its topic, as a whole or by category."""
        heard = [topic] if market is None else [topic, f"{topic}.{market}"]
        for name in heard:
            number = next(self._numbers)
            frame = {
                "id": f"{self.venue}{number:012d}-{topic}",
                "topic": name,
                "creationTime": self._account.now_ms(),
                "data": rows,
            }
            self.stream.push(name, market, msgspec.json.encode(frame))

    def _now_ms(self) -> int:
        return self._account.now_ms() + self._faults.skew_ms(self.venue)
