"""Prices of the book's benches: recorded trades where there are recordings, else seeded ones."""

import itertools
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.shared.peers import ROOT
from engine.model.instrument import InstrumentId, Market
from engine.simulator.market_events import MARKET_SOURCE
from engine.simulator.market_listings import Listing
from engine.simulator.market_seeded import START_PRICES, Walk
from engine.simulator.recordings import Channel, read_tracks

WANTED = InstrumentId("binance", Market.LINEAR, "BTCUSDT")
TICK = "0.10"
SEEDED = 10_000


class Prices(Struct, frozen=True):
    """Last prices in quote asset, and where they come from."""

    source: str
    values: list[float]

    def cycled(self, count: int) -> list[float]:
        """Return ``count`` of them, from the first one again after the last."""
        return list(itertools.islice(itertools.cycle(self.values), count))


def find_recordings() -> Path | None:
    """The directory of recorded venue streams; None where there is none."""
    directory = ROOT / (os.environ.get("TICKGUARD_RECORDED") or "../shared/recorded")
    return directory if directory.is_dir() else None


def load(recorded: Path | None) -> Prices:
    """Read the recorded trades of BTCUSDT, a perpetual of Binance; without them, draw a walk.

    Trades outside of the order book (an insurance fund's) are left out, as tick checks refuse them.

    Raises:
        Misconfigured: the directory holds nothing that could be played.
    """
    tracks = [] if recorded is None else read_tracks(recorded)
    for track in tracks:
        if track.instrument == WANTED and track.has(Channel.TRADE):
            trades = (
                msgspec.json.decode(cue.data) for cue in track.cues if cue.channel is Channel.TRADE
            )
            market = [trade for trade in trades if trade.get("X", MARKET_SOURCE) == MARKET_SOURCE]
            values = [float(trade["p"]) for trade in market]
            return Prices(f"{len(values)} recorded trades of {WANTED}", values)
    return seeded(SEEDED)


def seeded(count: int) -> Prices:
    """Draw ``count`` prices of the simulator's walk, the same ones every time."""
    listing = Listing(WANTED, "BTC", "USDT", tick=TICK, step="0.001", info={})
    walk = Walk(listing, seed=1, start=START_PRICES[WANTED.symbol])
    return Prices(f"{count} seeded prices", [float(walk.step().bid) for _ in range(count)])
