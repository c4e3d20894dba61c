"""The record of every market frame handed to a subscriber, for tests that compare both ends.

One JSON object a line: ``n`` (rising), ``at_ns`` (monotonic), ``conn``, ``venue``, ``market``,
``symbol``, ``channel``, ``origin``, ``frame`` (the text as sent). Acks and pongs are not frames of
the market and are left out.
"""

import asyncio
from pathlib import Path

import msgspec

from engine.ports import Clock
from engine.simulator.market_events import Origin

FLUSH_INTERVAL_S = 0.1

_text = msgspec.json.encode


class SentLog:
    """Collects lines in memory and appends them to a file; without a path it does nothing."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lines: list[bytes] = []
        self._heads: dict[tuple[str, str, str, str, str, Origin], bytes] = {}
        self._count = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    @property
    def count(self) -> int:
        """Number of frames logged."""
        return self._count

    def add(
        self,
        conn: str,
        venue: str,
        market: str,
        symbol: str,
        channel: str,
        origin: Origin,
        frame: bytes,
    ) -> None:
        """Note a frame."""
        self._count += 1
        if self._path is None:
            return
        key = (conn, venue, market, symbol, channel, origin)
        head = self._heads.get(key)
        if head is None:
            head = self._heads[key] = _head(key)
        at_ns = self._clock.monotonic_ns()
        start = b'{"n":%d,"at_ns":%d,' % (self._count, at_ns)
        self._lines.append(start + head + _text(frame.decode()) + b"}\n")

    def flush(self) -> None:
        """Write what was collected; whole lines only."""
        if self._path is not None and self._lines:
            lines, self._lines = self._lines, []
            with self._path.open("ab") as file:
                file.write(b"".join(lines))

    async def run(self) -> None:
        """Flush ten times a second until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_INTERVAL_S)
                self.flush()
        finally:
            self.flush()


def _head(key: tuple[str, str, str, str, str, Origin]) -> bytes:
    names = ("conn", "venue", "market", "symbol", "channel", "origin")
    body = _text(dict(zip(names, key, strict=True)))
    return body[1:-1] + b',"frame":'
