"""What an instrument costs now, by a venue's public REST: answers read, and asked for politely."""

import asyncio
from collections.abc import Mapping
from typing import Protocol, TypeVar

import httpx
import msgspec
from msgspec import Struct

from engine.model.errors import Retryable
from engine.model.instrument import InstrumentId, Market
from engine.ports import Clock
from engine.venues.channel import INFINITY, UNREADABLE
from engine.venues.rest import RateLimited, get

NS_PER_SECOND = 1_000_000_000
LONGEST_SILENCE_S = 3 * 86_400.0
"""Binance bans an address for 2 minutes to 3 days (its REST documentation, "IP limits")."""

Shape = TypeVar("Shape")

Written = str | float | None
"""A price as it stands in an answer: venues write texts, and ``""`` where there is none."""


class Prices(Struct, frozen=True):
    """Nearest doubles of what the venue says; None where it says nothing that is a price."""

    last: float | None = None
    bid: float | None = None
    ask: float | None = None
    mark: float | None = None


NO_PRICES = Prices()


class PriceSource(Protocol):
    """Asks one venue."""

    async def ask(self, instrument: InstrumentId, seconds: float) -> Prices:
        """Ask what an instrument costs now, for at most so long.

        Raises:
            Retryable: the venue refused, did not answer in time, or answered with something else.
        """

    async def ask_all(self, market: Market, seconds: float) -> Mapping[str, Prices]:
        """Ask what all instruments of a market cost now, by symbol, for at most so long.

        Raises:
            Retryable: the venue refused, did not answer in time, or answered with something else.
        """


def price(written: Written) -> float | None:
    """Read a price; None where there is none, or what is written is none."""
    if written is None:
        return None
    try:
        value = msgspec.convert(written, float, strict=False)
    except msgspec.ValidationError:
        return None
    return value if 0.0 < value < INFINITY else None


def touch(bid: Written, ask: Written) -> tuple[float | None, float | None]:
    """Read best bid and ask: both or, as on the streams, neither (a side empty, or crossed)."""
    bid_price, ask_price = price(bid), price(ask)
    if bid_price is None or ask_price is None or bid_price > ask_price:
        return None, None
    return bid_price, ask_price


class PoliteAddress:
    """One REST address of a venue. While the venue wants silence, nothing is sent there."""

    def __init__(self, url: str, client: httpx.AsyncClient, clock: Clock) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        self._silent_until_ns = 0

    async def get(
        self, path: str, params: Mapping[str, str], seconds: float, shape: type[Shape]
    ) -> Shape:
        """Ask once and read the answer, all within so many seconds.

        Raises:
            RateLimited: the venue asked to stop for a while; later calls send nothing until then.
            Retryable: silent, unreachable, late, refused, or not of that shape.
        """
        if self._clock.monotonic_ns() < self._silent_until_ns:
            raise Retryable(f"{self._url}: not asked, the venue wants silence")
        try:
            async with asyncio.timeout(seconds):
                body = await get(self._client, self._url + path, params)
        except TimeoutError as error:
            raise Retryable(f"{self._url}{path}: no answer in {seconds:.3g} s") from error
        except RateLimited as error:
            self.silence(error.pause_seconds)
            raise
        try:
            return msgspec.json.decode(body, type=shape)
        except UNREADABLE as error:
            raise Retryable(f"{self._url}{path}: not what was asked for: {error}") from error

    def silence(self, seconds: float) -> None:
        """Send nothing for so long."""
        until_ns = self._clock.monotonic_ns() + round(
            min(seconds, LONGEST_SILENCE_S) * NS_PER_SECOND
        )
        self._silent_until_ns = max(self._silent_until_ns, until_ns)
