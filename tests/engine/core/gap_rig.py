"""A guardian whose prices are lost and come back, and what was missed meanwhile."""

from decimal import Decimal
from typing import Any

from engine.core.market_view import Gap
from engine.model.effects import AppendEvent, Effects, FetchMissed
from engine.model.events import FeedLost, FeedResumed, MissedPrice, PricesMissed, Started
from engine.model.exits import AtPrice, Percent
from engine.model.instrument import Instrument
from engine.model.position import Position
from engine.model.ticks import PriceSource
from tests.engine.core.price_rig import PriceRig
from tests.engine.core.rig import BTC_PERP

D = Decimal

MS = 1_000_000
MINUTE_MS = 60_000

STOP = {"stop_loss": AtPrice(D(95))}
TRAIL = {"trailing": Percent(D(10))}


class GapRig(PriceRig):
    """UTC and venue time are the same here; prices are lost by ``lose`` and back by ``resume``."""

    def lose(self, instrument: Instrument = BTC_PERP) -> Effects:
        return self.handle(FeedLost((instrument.id,), "silent", self.now))

    def resume(self, instrument: Instrument = BTC_PERP) -> Effects:
        return self.handle(FeedResumed((instrument.id,), self.now))

    def at(self, price: float, high: float | None = None) -> MissedPrice:
        """A trade made now, a second after the one before; a bar of a minute with ``high``."""
        self.wait(1)
        from_ms = self.now // MS
        if high is None:
            return MissedPrice(from_ms, from_ms, price, price)
        self.wait(60)
        return MissedPrice(from_ms, from_ms + MINUTE_MS, price, high)

    def missed(
        self,
        *prices: MissedPrice,
        source: PriceSource = PriceSource.LAST,
        complete: bool = True,
        instrument: Instrument = BTC_PERP,
    ) -> Effects:
        return self.handle(PricesMissed(instrument.id, source, prices, complete, self.now))

    def gap(self, *prices: float) -> Effects:
        """Lose the prices, have trades made a second apart, and hear of them."""
        self.lose()
        made = [self.at(price) for price in prices]
        self.resume()
        return self.missed(*made)

    # What it knows and wants

    def fetched(self) -> list[tuple[str, int]]:
        """What was asked for: source and since when, ms."""
        return [(str(e.source), e.since_ms) for e in self.effects if isinstance(e, FetchMissed)]

    def told(self) -> list[dict[str, Any]]:
        """The limits that were missed, as they were logged."""
        logged = (e for e in self.effects if isinstance(e, AppendEvent))
        return [e.data for e in logged if e.kind == "position.limit_missed"]

    @property
    def open_gap(self) -> Gap | None:
        return self.view.gap


def crossed(rig: GapRig) -> list[tuple[str, str, str]]:
    """Reason, threshold and price of what was missed."""
    return [(data["reason"], data["threshold"], data["price"]) for data in rig.told()]


def held(*, strict: bool = False, **exits: object) -> tuple[GapRig, Position]:
    """A long of BTC-PERP from 100; a second later its feed is as good as ever."""
    rig = GapRig(gap_strict=strict)
    position = rig.open("buy", **exits)
    rig.wait(1)
    return rig, position


def short(*, strict: bool = False, **exits: object) -> tuple[GapRig, Position]:
    rig = GapRig(gap_strict=strict)
    position = rig.open("sell", stop_loss=AtPrice(D(150)), **exits)
    rig.wait(1)
    return rig, position


def restarted(old: GapRig, position: Position, seconds: float = 60) -> GapRig:
    """A process that comes up after so many seconds, its orders accounted for."""
    rig = GapRig(gap_strict=old.guardian._state.config.gap_strict)
    rig.now = old.now
    rig.wait(seconds)
    started = Started(rig.now, accepting=True, positions=(old.position(position),))
    rig.handle(started)
    return rig
