"""Leverage and margin mode, set before the first entry on an instrument."""

import asyncio

from engine.model.instrument import Instrument, InstrumentId
from engine.venues.account import VenueAccount


class Preparing:
    """Makes each instrument of an account ready once in this process.

    Where something is open already nothing is changed, and it is looked at again before the next
    entry: what is open there may be gone by then.
    """

    def __init__(self, account: VenueAccount) -> None:
        self._account = account
        self._under_way: dict[InstrumentId, asyncio.Task[None]] = {}
        self._ready: set[InstrumentId] = set()

    async def ready(self, instrument: Instrument) -> None:
        """Return once an instrument is ready; entries that come together share one request.

        Raises:
            RequestFailed: it could not be made ready; the next entry tries again.
        """
        if instrument.id not in self._ready:
            await asyncio.shield(self._begin(instrument))

    def _begin(self, instrument: Instrument) -> asyncio.Task[None]:
        task = self._under_way.get(instrument.id)
        if task is None:
            # Not of the caller's group, which its failure would end; who waits for it is told.
            task = asyncio.ensure_future(self._prepare(instrument))
            task.add_done_callback(_hear)
            self._under_way[instrument.id] = task
        return task

    async def _prepare(self, instrument: Instrument) -> None:
        is_alone = all(row.instrument != instrument.id for row in self._account.positions())
        try:
            await self._account.prepare(instrument, is_alone=is_alone)
        finally:
            del self._under_way[instrument.id]
        if is_alone:
            self._ready.add(instrument.id)


def _hear(task: asyncio.Task[None]) -> None:
    """Take an error whose waiters have gone: each of them was told that time was up."""
    if not task.cancelled():
        task.exception()
