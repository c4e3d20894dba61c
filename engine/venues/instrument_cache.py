"""Instrument lists on disk, so that a start knows them while a venue is down.

One file for each venue and market. It says where the list came from: a testnet's filters are of no
use for mainnet. What cannot be read is as good as nothing; the venue is asked anyway.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from engine.model.instrument import Instrument, Market

VERSION = 1

log = structlog.get_logger(__name__)


class _Listed(Struct, frozen=True):
    version: int
    origin: str
    instruments: tuple[Instrument, ...]


class InstrumentCache:
    """The folder of cached lists. Blocking; one file is not written by two threads at once.

    Args:
        origins: per venue, the address its lists come from.
    """

    def __init__(self, folder: Path, origins: Mapping[str, str]) -> None:
        self._folder = folder
        self._origins = origins
        self._decoder = msgspec.json.Decoder(_Listed)

    def read(self, venue: str, market: Market) -> Sequence[Instrument]:
        """Return a list as it was last written; nothing where there is none of this origin."""
        path = self._path(venue, market)
        try:
            listed = self._decoder.decode(path.read_bytes())
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("instruments.cache_unreadable", file=path.name, reason=str(error))
            return ()
        if (listed.version, listed.origin) != (VERSION, self._origins[venue]):
            log.info("instruments.cache_of_another_place", file=path.name, origin=listed.origin)
            return ()
        return listed.instruments

    def write(self, venue: str, market: Market, instruments: Sequence[Instrument]) -> None:
        """Keep a list, whole or not at all; a disk that refuses is a log line."""
        path = self._path(venue, market)
        listed = _Listed(VERSION, self._origins[venue], tuple(instruments))
        fresh = path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as stream:
                stream.write(msgspec.json.encode(listed))
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(path)
        except OSError as error:
            log.warning("instruments.cache_not_written", file=path.name, reason=str(error))

    def _path(self, venue: str, market: Market) -> Path:
        return self._folder / f"{venue}.{market}.json"
