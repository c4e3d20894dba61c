"""Which source plays which instrument: recorded, seeded, or a script."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.model.errors import Misconfigured
from engine.simulator.dialects import (
    binance_listings,
    binance_recorded,
    bybit_listings,
    bybit_recorded,
)
from engine.simulator.market import MarketPlace
from engine.simulator.market_listings import Listings
from engine.simulator.market_pace import Pace, VenueTime
from engine.simulator.market_playback import Player
from engine.simulator.market_scripted import (
    MarkSource,
    Overrides,
    ScriptRow,
    ScriptSource,
    read_script,
)
from engine.simulator.market_seeded import SeededSource
from engine.simulator.recordings import Track, read_listings, read_tracks

SEEDED = "seeded"
RECORDED = "recorded"

Run = Callable[[], Coroutine[Any, Any, None]]


class Plan(Struct, frozen=True):
    """Where prices come from: the instruments listed, and what has to be read beforehand."""

    prices: str
    seed: int
    listings: Listings
    rows: tuple[ScriptRow, ...] = ()
    tracks: tuple[Track, ...] = ()


def plan(prices: str, seed: int, recordings: Path | None) -> Plan:
    """Read what the sources need.

    Raises:
        Misconfigured: recordings or a script file are missing or not readable.
    """
    if prices == RECORDED:
        if recordings is None or not recordings.is_dir():
            raise Misconfigured(
                "prices 'recorded' need the recordings: set TICKGUARD_RECORDED to their directory, "
                "or use --prices seeded"
            )
        tracks = tuple(read_tracks(recordings))
        return Plan(prices, seed, read_listings(recordings), tracks=tracks)
    listings = Listings([*bybit_listings.built_in(), *binance_listings.built_in()])
    if prices == SEEDED:
        return Plan(prices, seed, listings)
    return Plan(prices, seed, listings, rows=tuple(read_script(Path(prices), listings)))


def start_sources(chosen: Plan, place: MarketPlace, pace: Pace, overrides: Overrides) -> list[Run]:
    """Return what has to run for prices to flow, and tell the overrides who owns what."""
    runs: list[Run] = [MarkSource(place, pace).run]
    if chosen.prices == SEEDED:
        for listing in chosen.listings:
            seeded = SeededSource(place, pace, listing, chosen.seed)
            overrides.own(listing.id, seeded, holds=False)
            runs.append(seeded.run)
    for track in chosen.tracks:
        read = bybit_recorded.read if track.instrument.venue == "bybit" else binance_recorded.read
        player = Player(place, pace, track, read)
        overrides.own(track.instrument, player, holds=True)
        runs.append(player.run)
    if chosen.rows:
        runs.append(ScriptSource(place, pace, chosen.rows).run)
    return runs


def make_place(chosen: Plan, time: VenueTime) -> MarketPlace:
    """Return an empty market of the plan's instruments."""
    return MarketPlace(chosen.listings, time)
