"""Bybit's private stream: log-in, topics, and what their frames say.

Source: the v5 documentation, "Connect" and the pages of the private topics. The venue sends no
snapshot after a subscription; the reading that follows ``AccountResumed`` takes its place.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from engine.ports import BrokerEvent
from engine.venues.account import RequestFailed, Urgency
from engine.venues.account_stream import NOTHING_HEARD, Heard
from engine.venues.bybit.client import BybitClient, Keys
from engine.venues.bybit.codes import judge_code
from engine.venues.bybit.parse import TOPICS, Frame

LOG_IN_MS = 10_000
"""How long a log-in is good for, by the venue's time."""

PING = '{"op":"ping"}'
SUBSCRIBE = msgspec.json.encode({"op": "subscribe", "args": list(TOPICS)}).decode()

Reader = Callable[[str, Sequence[Any]], Sequence[BrokerEvent]]
"""Says what the rows of a topic mean."""


class PrivateDialect:
    """Implements ``engine.venues.account_stream.AccountDialect``."""

    name = "bybit.private"
    ping_seconds = 20.0
    silence_seconds: float | None = 45.0
    life_seconds: float | None = None

    def __init__(self, url: str, keys: Keys, client: BybitClient, reader: Reader) -> None:
        self._url = url
        self._keys = keys
        self._client = client
        self._reader = reader
        self._decode = msgspec.json.Decoder(Frame).decode

    async def url(self) -> str:
        """Return the address, once the clock is right: log-ins are signed by it.

        Raises:
            RequestFailed: the venue does not tell its time.
        """
        if not self._client.time.is_set:
            await self._client.set_clock(urgency=Urgency.LOOK_UP)
        return self._url

    def hello(self) -> Sequence[str]:
        """Return the log-in."""
        expires_ms = self._client.time.now_ms() + LOG_IN_MS
        signed = hmac.new(
            self._keys.secret.encode(), f"GET/realtime{expires_ms}".encode(), hashlib.sha256
        )
        args = [self._keys.key, expires_ms, signed.hexdigest()]
        return (msgspec.json.encode({"op": "auth", "args": args}).decode(),)

    def ping(self) -> str | None:
        """Return the venue's own kind of ping."""
        return PING

    def read(self, frame: bytes) -> Heard:
        """Say what a frame is; raises msgspec's errors and Unreadable."""
        told = self._decode(frame)
        if told.topic:
            shape = TOPICS.get(told.topic)
            rows = msgspec.json.decode(told.data, type=shape) if shape else ()
            return Heard(events=tuple(self._reader(told.topic, rows)))
        if told.op == "auth":
            return self._logged_in(told)
        if told.op == "subscribe":
            return self._subscribed(told)
        return NOTHING_HEARD

    def _logged_in(self, told: Frame) -> Heard:
        if told.success:
            return Heard(send=(SUBSCRIBE,))
        # A log-in that came too late, or from a clock that is off, has no code of its own.
        self._client.time.doubt()
        return Heard(failure=self._refused("log-in", told))

    def _subscribed(self, told: Frame) -> Heard:
        if told.success:
            return Heard(ready=True)
        return Heard(failure=self._refused("subscription", told))

    def _refused(self, what: str, told: Frame) -> RequestFailed:
        message = f"{what} refused: {told.ret_code} {told.message or told.ret_msg}"
        verdict = judge_code(told.ret_code)
        return RequestFailed(verdict, self._keys.mask(message), str(told.ret_code))
