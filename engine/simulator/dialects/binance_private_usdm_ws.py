"""USD-M's user data stream, ``/private/ws?listenKey=``.

Source: USD-M documentation, "User Data Streams": a stream of a key that is not in force opens and
stays silent; ``listenKeyExpired`` is told when the key runs out.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.model.instrument import Market
from engine.simulator.dialects.binance_private_usdm import UsdmAccount
from engine.simulator.dialects.binance_private_usdm_rest import ListenKeys
from engine.simulator.dialects.faults import Faults
from engine.simulator.dialects.private_stream import PrivateStream
from engine.simulator.dialects.session import Session

TOPIC = "user"
LOOK_S = 0.5


class UsdmUserStream:
    """The sessions that hear of one account."""

    venue = "binance"
    market = Market.LINEAR

    def __init__(self, account: UsdmAccount, keys: ListenKeys, faults: Faults) -> None:
        self.stream = PrivateStream(self.venue, faults)
        self.hub = self.stream.hub
        self._account = account
        self._keys = keys
        self._heard: dict[Session, str] = {}
        account.events.tellers.append(self._tell)

    async def run(self) -> None:
        """End sessions whose key has run out, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            for session, key in list(self._heard.items()):
                if not self._keys.is_valid(key):
                    self._expire(session, key)

    def _expire(self, session: Session, key: str) -> None:
        now_ms = self._account.now_ms()
        event = {"e": "listenKeyExpired", "E": now_ms, "listenKey": key}
        self.stream.send(session, self.market, msgspec.json.encode(event))
        del self._heard[session]
        self.stream.log_out(session)

    def on_open(self, session: Session, streams: Sequence[str]) -> None:
        """Take in a new connection; ``streams`` is its listen key."""
        self.stream.join(session)
        key = streams[0] if streams else ""
        if self._keys.is_valid(key):
            self._heard[session] = key
            self.stream.log_in(session)
            self.hub.subscribe(session, TOPIC)

    def on_close(self, session: Session) -> None:
        """Forget a connection that ended."""
        self._heard.pop(session, None)
        self.stream.leave(session)

    def on_message(self, session: Session, text: str | bytes) -> bool:
        """Answer nothing: the stream takes no requests."""
        return True

    def _tell(self, event: dict[str, Any]) -> None:
        self.stream.push(TOPIC, self.market, msgspec.json.encode(event))
