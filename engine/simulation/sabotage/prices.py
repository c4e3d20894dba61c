"""Defects of prices and of what the owner is told."""

from typing import Any

from msgspec.structs import replace

from engine.core.state import State
from engine.model.events import FeedLost, PricesMissed
from engine.model.money import exact
from engine.model.position import Position
from engine.simulation.sabotage.defect import Function, Sabotage


def _trust_a_bad_tick(original: Function) -> Function:
    del original

    def is_near(self: Any, price: float, other: float) -> bool:
        del self, price, other
        return True

    return is_near


def _drop_a_gaps_trades(original: Function) -> Function:
    del original

    def on_prices_missed(state: State, event: PricesMissed) -> None:
        del state, event

    return on_prices_missed


def _the_peak_is_the_present(original: Function) -> Function:
    def with_live_peak(self: State, position: Position) -> Position:
        shown: Position = original(self, position)
        view = self.markets.get(position.instrument.id)
        if shown.progress.peak is None or view is None:
            return shown
        price = view.book.channel(position.trigger, position.side).price
        if price is None:
            return shown
        return replace(shown, progress=replace(shown.progress, peak=exact(price)))

    return with_live_peak


def _time_stops_are_lost(original: Function) -> Function:
    del original

    def set_(self: Any, position_id: str, deadline_ns: int | None) -> None:
        del self, position_id, deadline_ns

    return set_


def _never_tell_blindness(original: Function) -> Function:
    del original

    def on_feed_lost(state: State, event: FeedLost) -> None:
        del state, event

    return on_feed_lost


def _never_see_again(original: Function) -> Function:
    def mark_blind(state: State, instruments: Any, *, blind: bool, cause: str) -> None:
        if blind:
            original(state, instruments, blind=blind, cause=cause)

    return mark_blind


def _repeat_notices(original: Function) -> Function:
    def ask_again(state: State) -> None:
        for resolving in state.resolving.values():
            resolving.told = False
        original(state)

    return ask_again


def _tell_stuck_each_time(original: Function) -> Function:
    def alarm_stuck(state: State, position: Position, message: str | None) -> None:
        original(state, position, message)
        state.notify("position.stuck", position_id=position.id, message=message)

    return alarm_stuck


PRICE_DEFECTS = (
    Sabotage(
        "trust_a_bad_tick",
        "every price is believed at once, however far it jumps",
        (5,),
        "engine.core.belief:Belief._is_near",
        _trust_a_bad_tick,
    ),
    Sabotage(
        "drop_a_gaps_trades",
        "what traded while no prices arrived is not looked at",
        (4,),
        "engine.core.gaps:on_prices_missed",
        _drop_a_gaps_trades,
    ),
    Sabotage(
        "the_peak_is_the_present",
        "the peak of a trailing stop goes back with the price",
        (4,),
        "engine.core.state:State.with_live_peak",
        _the_peak_is_the_present,
    ),
    Sabotage(
        "time_stops_are_lost",
        "time closes nothing",
        (4,),
        "engine.core.time_stops:TimeStops.set",
        _time_stops_are_lost,
    ),
    Sabotage(
        "never_tell_blindness",
        "the owner is not told when no prices arrive",
        (15,),
        "engine.core.guardian:_on_feed_lost",
        _never_tell_blindness,
    ),
    Sabotage(
        "never_see_again",
        "an instrument that was blind stays blind",
        (3, 15),
        "engine.core.guardian:_mark_blind",
        _never_see_again,
    ),
    Sabotage(
        "repeat_notices",
        "the owner is told each second that a venue does not answer",
        (15,),
        "engine.core.recovery:ask_again",
        _repeat_notices,
    ),
    Sabotage(
        "tell_stuck_each_time",
        "the owner is alarmed of a stuck close at each refusal",
        (15,),
        "engine.core.refusals:alarm_stuck",
        _tell_stuck_each_time,
    ),
)
