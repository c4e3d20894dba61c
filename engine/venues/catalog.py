"""The instrument lists of all venues, kept in memory and on disk, renewed in the background.

Requests of signals are checked against it without waiting for a venue.
"""

import asyncio
import difflib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog
from msgspec import Struct

from engine.model.errors import Retryable
from engine.model.instrument import Instrument, Market
from engine.ports import Instruments
from engine.venues.instrument_cache import InstrumentCache
from engine.venues.rest import RateLimited

Lookup = Callable[[str, Market, str], Instrument | None]
"""Finds an instrument by venue, market and the venue's own symbol (``Catalog.lookup``)."""

log = structlog.get_logger(__name__)


class CatalogTimings(Struct, frozen=True):
    """How lists are renewed, in seconds. Filters change a few times a month, new listings daily."""

    refresh_seconds: float = 6 * 3600.0
    load_seconds: float = 120.0
    backoff_seconds: float = 1.0
    max_backoff_seconds: float = 300.0


class _Pair(NamedTuple):
    venue: str
    market: Market


class Catalog:
    """Looks instruments up. A list that cannot be renewed is kept as it was last read.

    ``cache`` keeps lists over restarts.
    """

    def __init__(
        self,
        sources: Sequence[Instruments],
        rng: random.Random,
        timings: CatalogTimings | None = None,
        cache: InstrumentCache | None = None,
    ) -> None:
        self._sources: Mapping[_Pair, Instruments] = {
            _Pair(source.venue, market): source for source in sources for market in Market
        }
        self._rng = rng
        self._timings = timings or CatalogTimings()
        self._cache = cache
        self._lists: dict[_Pair, dict[str, Instrument]] = {}

    def restore(self) -> None:
        """Take the lists of the run before, until the venues have answered. Reads the disk."""
        for pair in self._sources:
            listed = self._cache.read(*pair) if self._cache is not None else ()
            if listed:
                self._lists.setdefault(pair, _by_symbol(listed))
                log.info("instruments.restored", venue=pair.venue, market=str(pair.market))

    def put(self, instrument: Instrument) -> None:
        """Take one instrument's filters as they were just read."""
        wanted = instrument.id
        listed = self._lists.get(_Pair(wanted.venue, wanted.market))
        if listed is not None:
            listed[wanted.symbol] = instrument

    def available(self, venue: str, market: Market) -> bool:
        """Tell whether a market's list was ever read."""
        return _Pair(venue, market) in self._lists

    def lookup(self, venue: str, market: Market, symbol: str) -> Instrument | None:
        """Return an instrument by its venue's own symbol, or None."""
        return self._lists.get(_Pair(venue, market), {}).get(symbol)

    def near(self, venue: str, market: Market, symbol: str, n: int = 3) -> list[str]:
        """Return up to ``n`` symbols that look most like one, the best first; traded ones only."""
        listed = self._lists.get(_Pair(venue, market), {})
        names = [name for name, instrument in listed.items() if instrument.trading]
        return difflib.get_close_matches(symbol.upper(), names, n=n, cutoff=0.6)

    async def refresh(self) -> None:
        """Read every list once.

        Raises:
            Retryable: at least one could not be read; the others were, and it is kept as it was.
        """
        pairs = list(self._sources)
        failures = await asyncio.gather(*(self._load(pair) for pair in pairs))
        messages = [str(failure) for failure in failures if failure is not None]
        if messages:
            raise Retryable("; ".join(messages))

    async def run(self) -> None:
        """Keep every list fresh until cancelled; each retries on its own."""
        async with asyncio.TaskGroup() as group:
            for pair in self._sources:
                group.create_task(self._keep(pair))

    async def _keep(self, pair: _Pair) -> None:
        failures = 0
        while True:
            failure = await self._load(pair)
            failures = 0 if failure is None else failures + 1
            await asyncio.sleep(self._pause_seconds(failure, failures))

    async def _load(self, pair: _Pair) -> Retryable | None:
        try:
            async with asyncio.timeout(self._timings.load_seconds):
                instruments = await self._sources[pair].load(pair.market)
            if not instruments:
                raise Retryable(f"{pair.venue}.{pair.market}: the list is empty")
        except TimeoutError:
            return self._note(pair, Retryable(f"{pair.venue}.{pair.market}: timed out"))
        except Retryable as error:
            return self._note(pair, error)
        self._lists[pair] = _by_symbol(instruments)
        if self._cache is not None:
            await asyncio.to_thread(self._cache.write, *pair, instruments)
        return None

    def _note(self, pair: _Pair, error: Retryable) -> Retryable:
        log.warning(
            "instruments.load_failed", venue=pair.venue, market=str(pair.market), reason=str(error)
        )
        return error

    def _pause_seconds(self, failure: Retryable | None, failures: int) -> float:
        timings = self._timings
        if failure is None:
            return timings.refresh_seconds * (0.9 + 0.2 * self._rng.random())
        longest_s = min(
            timings.backoff_seconds * 2.0 ** min(failures - 1, 16), timings.max_backoff_seconds
        )
        asked_s = failure.pause_seconds if isinstance(failure, RateLimited) else 0.0
        return asked_s + longest_s * (0.1 + 0.9 * self._rng.random())


def _by_symbol(instruments: Sequence[Instrument]) -> dict[str, Instrument]:
    return {each.id.symbol: each for each in instruments}
