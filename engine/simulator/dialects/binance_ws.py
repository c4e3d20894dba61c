"""Binance's market streams: spot (``/ws``, ``/stream``) and USD-M (the same below its routes).

Source: web-socket-streams.md of the spot documentation and the USD-M market stream documentation.
Texts of refusals that they do not give are those that clients report (``Invalid request: invalid
stream``, ``Invalid request: request ID must be an unsigned integer``).
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.clock import NS_PER_SECOND
from engine.model.instrument import InstrumentId, Market
from engine.ports import Clock
from engine.simulator.dialects import binance_frames as frames
from engine.simulator.dialects.session import Frame, Hub, Session
from engine.simulator.market import MarketPlace
from engine.simulator.market_events import Aggregate, Mark, MarketEvent, Origin, Prints, Quote

MESSAGES_PER_SECOND = {Market.SPOT: 5, Market.LINEAR: 10}
"""More client messages than this disconnect the client."""

PUBLIC_CHANNELS = frozenset({"bookTicker"})
"""USD-M channels served on ``/public`` (and unrouted); all others are served on ``/market``."""

SLOW_MARK_EVERY = 3
"""``@markPrice`` comes every 3 s, ``@markPrice@1s`` every second."""

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

_STREAM = re.compile(r"!?[A-Za-z0-9_]+(@[A-Za-z0-9_@.]+)?")
_SPOT_CHANNELS = frozenset({"trade", "aggTrade", "bookTicker"})
_USDM_CHANNELS = _SPOT_CHANNELS | {"markPrice", "markPrice@1s"}


class BinanceStreams:
    """The streams of one market."""

    venue = "binance"

    def __init__(self, place: MarketPlace, market: Market, clock: Clock) -> None:
        self.market = market
        self.hub = Hub()
        self._place = place
        self._clock = clock
        self._messages_ns: dict[str, deque[int]] = {}
        self._marks: dict[InstrumentId, int] = {}
        self._channels = _SPOT_CHANNELS if market is Market.SPOT else _USDM_CHANNELS
        place.listen(self.venue, market, self.on_event)

    # --- market events --------------------------------------------------------------------------

    def on_event(self, event: MarketEvent) -> None:
        """Write an event to whoever listens."""
        if isinstance(event, Prints):
            self._on_prints(event)
        elif isinstance(event, Aggregate):
            topic = _topic(event.instrument, "aggTrade")
            if self.hub.heard(topic):
                self._deliver(event, topic, "aggTrade", frames.aggregate(event))
        elif isinstance(event, Quote):
            topic = _topic(event.instrument, "bookTicker")
            if self.hub.heard(topic):
                self._deliver(event, topic, "bookTicker", frames.book_ticker(event))
        elif isinstance(event, Mark):
            self._on_mark(event)

    def _on_prints(self, event: Prints) -> None:
        topic = _topic(event.instrument, "trade")
        if self.hub.heard(topic):
            for print_ in event.prints:
                self._deliver(event, topic, "trade", frames.trade(event, print_))

    def _on_mark(self, mark: Mark) -> None:
        count = self._marks.get(mark.instrument, 0)
        self._marks[mark.instrument] = count + 1
        scripted = mark.origin is Origin.SCRIPTED
        channels = ["markPrice@1s"]
        if scripted or count % SLOW_MARK_EVERY == 0:
            channels.append("markPrice")
        for channel in channels:
            topic = _topic(mark.instrument, channel)
            if self.hub.heard(topic):
                self._deliver(mark, topic, channel, frames.mark_price(mark))

    def _deliver(self, event: MarketEvent, topic: str, channel: str, data: bytes) -> None:
        self.hub.deliver(topic, Frame(data, event.instrument, channel, event.origin))

    async def run(self) -> None:
        """Nothing goes by time here: marks come as events."""

    # --- requests -------------------------------------------------------------------------------

    def on_open(self, session: Session, streams: Sequence[str]) -> None:
        """Take in a new connection, subscribed to the streams of its URL."""
        self.hub.join(session)
        for stream in streams:
            self._subscribe(session, stream)

    def on_message(self, session: Session, text: str | bytes) -> bool:
        """Answer a client's message; False when it sent too many and is to be cut off."""
        if self._too_many(session):
            return False
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            _refuse(session, 3, "Invalid JSON: expected value at line 1 column 1")
            return True
        problem = self._problem(session, request)
        if problem is not None:
            _refuse(session, 2, f"Invalid request: {problem}")
            return True
        result = self._carry_out(session, request)
        session.reply(frames.encode({"result": result, "id": request.get("id")}))
        return True

    def on_close(self, session: Session) -> None:
        """Forget a connection that ended."""
        self.hub.leave(session)
        self._messages_ns.pop(session.conn, None)

    def _too_many(self, session: Session) -> bool:
        now_ns = self._clock.monotonic_ns()
        times = self._messages_ns.setdefault(session.conn, deque())
        times.append(now_ns)
        while times[0] <= now_ns - NS_PER_SECOND:
            times.popleft()
        return len(times) > MESSAGES_PER_SECOND[self.market]

    def _problem(self, session: Session, request: Any) -> str | None:
        """Say why a request is refused; None when it is fine."""
        if not isinstance(request, dict) or "method" not in request:
            return "missing field `method` at line 1 column 2"
        method, params = request["method"], request.get("params", [])
        if method not in METHODS:
            return f"unknown variant `{method}`, expected one of {', '.join(METHODS)}"
        if not self._id_fits(request.get("id")):
            return "request ID must be an unsigned integer"
        if not isinstance(params, list):
            return "params must be an array"
        if method.endswith("SUBSCRIBE"):
            return _stream_problem(session, method, params)
        return None

    def _id_fits(self, request_id: object) -> bool:
        """USD-M takes unsigned integers, spot also short strings or none."""
        if isinstance(request_id, int) and not isinstance(request_id, bool):
            return request_id >= 0
        if self.market is Market.SPOT:
            return request_id is None or (isinstance(request_id, str) and len(request_id) <= 36)
        return False

    def _carry_out(self, session: Session, request: dict[str, Any]) -> Any:
        method, params = request["method"], request.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return list(session.topics)
        if method == "GET_PROPERTY":
            return session.combined
        if method == "SET_PROPERTY":
            session.combined = params[-1:] == [True]
        elif method == "SUBSCRIBE":
            for stream in params:
                self._subscribe(session, stream)
        else:
            for stream in params:
                self.hub.unsubscribe(session, stream)
        return None

    def _subscribe(self, session: Session, stream: str) -> None:
        """Note a stream; one that does not exist, or not on this route, stays silent."""
        symbol, _, channel = stream.partition("@")
        exists = channel in self._channels and self._listed(symbol)
        self.hub.subscribe(session, stream, silent=not (exists and self._routed(session, channel)))

    def _listed(self, symbol: str) -> bool:
        instrument = InstrumentId(self.venue, self.market, symbol.upper())
        return symbol == symbol.lower() and self._place.listings.get(instrument) is not None

    def _routed(self, session: Session, channel: str) -> bool:
        if self.market is Market.SPOT:
            return True
        return (channel in PUBLIC_CHANNELS) == (session.route != "market")


def _stream_problem(session: Session, method: str, params: list[Any]) -> str | None:
    if not params or not all(isinstance(name, str) and _STREAM.fullmatch(name) for name in params):
        return "invalid stream"
    if method == "SUBSCRIBE" and session.rejects():
        return "invalid stream"
    return None


def _refuse(session: Session, code: int, message: str) -> None:
    session.reply(frames.encode({"code": code, "msg": message}))


def _topic(instrument: InstrumentId, channel: str) -> str:
    return f"{instrument.symbol.lower()}@{channel}"
