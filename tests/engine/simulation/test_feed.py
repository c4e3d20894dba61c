"""The way of prices: what each fault of it does to them, and that it counts when it does."""

import pytest

from engine.model.events import FeedLost, FeedResumed, PricesChecked, PricesMissed
from engine.model.ticks import MarkTick, PriceSource, QuoteTick, TradeTick
from engine.simulation.feed import EPOCH_MS, REST_NS, STALE_NS
from engine.simulation.plan import Crash, Fault
from engine.simulation.world import World
from tests.engine.simulation.rig import (
    ENTRY_MS,
    HEAL_MS,
    MS,
    PERP,
    SECOND,
    SPOT,
    Lived,
    calm,
    moved,
    plan,
    signal,
)

BEGIN_MS = 5000
SILENCERS = ("mute", "close_1012", "delist")


def trades(lived: Lived, from_ms: int = 0, to_ms: int = HEAL_MS) -> list[tuple[int, float]]:
    """Trades that were told between two virtual times (ms): when, and at which price."""
    return [
        (at_ns // MS, tick.price)
        for at_ns, tick in lived.told(TradeTick)
        if from_ms * MS <= at_ns < to_ms * MS
    ]


def times(lived: Lived, *kinds: type, to_ms: int = HEAL_MS) -> list[int]:
    """When events of a kind were told (ms), until all was healed."""
    return [at_ns // MS for at_ns, _ in lived.told(*kinds) if at_ns < to_ms * MS]


def test_prices_of_what_is_watched_arrive_as_they_are_made() -> None:
    lived = Lived(plan())
    made = [p.at_ms for p in calm().prints if p.at_ms > ENTRY_MS]
    assert [at_ms for at_ms, _ in trades(lived)] == made
    assert times(lived, QuoteTick) == times(lived, MarkTick) == made
    assert times(lived, FeedResumed) == made[:1]  # the first price tells that the feed is there
    assert times(lived, FeedLost) == []
    assert all(told.is_true for told in lived.history.told)


def test_spot_has_no_marks() -> None:
    lived = Lived(plan(paths=(calm(SPOT),), signals=(signal(instrument=SPOT),)))
    assert trades(lived)
    assert times(lived, MarkTick) == []
    asked = Lived(
        plan(Fault("mute", BEGIN_MS, 6000), paths=(calm(SPOT),), signals=(signal(instrument=SPOT),))
    )
    checked = [event for _, event in asked.told(PricesChecked)]
    assert checked
    assert {event.mark for event in checked} == {None}


def test_prices_of_what_nobody_watches_go_nowhere() -> None:
    lived = Lived(plan(signals=()))
    assert lived.told(TradeTick, QuoteTick, MarkTick) == []


def test_nothing_arrives_when_it_is_watched_no_longer() -> None:
    falls = moved(calm(), BEGIN_MS, 940.0)
    lived = Lived(plan(paths=(falls,)))
    last_ms = trades(lived)[-1][0]
    closed_ns = max(fill.time_ns for fill in lived.ends["bybit"].fills)
    assert last_ms < BEGIN_MS + 2000
    assert last_ms <= (closed_ns // MS - EPOCH_MS) + 600


@pytest.mark.parametrize("kind", [*SILENCERS, "lag", "spike"])
def test_a_fault_whose_window_meets_nothing_that_is_watched_does_not_strike(kind: str) -> None:
    lived = Lived(plan(Fault(kind, 200, 1000, 9, amount=2.0)))
    assert lived.history.struck == []
    assert lived.history.told == Lived(plan()).history.told


@pytest.mark.parametrize("kind", SILENCERS)
def test_a_silence_loses_every_price_of_its_window_and_strikes_once(kind: str) -> None:
    lived = Lived(plan(Fault(kind, BEGIN_MS, 6000)))
    assert trades(lived, BEGIN_MS, BEGIN_MS + 6000) == []
    assert trades(lived, BEGIN_MS + 6000)
    assert lived.strikes(kind) == [5100 * MS]
    assert times(lived, FeedResumed) == [2100, 11_100]


@pytest.mark.parametrize("kind", ["mute", "delist"])
def test_a_silent_stream_is_told_lost_once_it_is_stale(kind: str) -> None:
    lived = Lived(plan(Fault(kind, BEGIN_MS, 6000)))
    ((lost_ns, lost),) = lived.told(FeedLost)
    heard_ns = 4600 * MS
    assert heard_ns + STALE_NS <= lost_ns <= heard_ns + STALE_NS + 500 * MS
    assert (lost.instruments, lost.cause) == ((PERP.id,), "silent")


def test_a_stream_that_is_closed_is_lost_at_once() -> None:
    lived = Lived(plan(Fault("close_1012", BEGIN_MS, 3000)))
    ((lost_ns, lost),) = lived.told(FeedLost)
    assert (lost_ns, lost.cause) == (5100 * MS, "closed: 1012")


def test_a_short_silence_is_not_told() -> None:
    lived = Lived(plan(Fault("mute", BEGIN_MS, 1500)))
    assert lived.strikes("mute")
    assert lived.told(FeedLost) == []


def test_a_market_that_is_silent_itself_is_not_lost() -> None:
    path = calm()
    quiet = [p for p in path.prints if not BEGIN_MS < p.at_ms < 12_000]
    lived = Lived(plan(paths=(type(path)(PERP, tuple(quiet), ()),)))
    assert lived.told(FeedLost) == []


def test_a_stream_without_a_first_price_is_lost() -> None:
    path = calm()
    late = [p for p in path.prints if p.at_ms > 9000]
    lived = Lived(plan(paths=(type(path)(PERP, tuple(late), ()),)))
    (lost_ns, lost), *_ = lived.told(FeedLost)
    assert lost.cause == "no_first_tick"
    assert STALE_NS <= lost_ns - ENTRY_MS * MS <= STALE_NS + 600 * MS


def test_only_the_instrument_that_is_muted_falls_silent() -> None:
    paths, both = (calm(), calm(SPOT)), (signal(0), signal(1, instrument=SPOT))
    muted = Fault("mute", BEGIN_MS, 6000, instrument=SPOT.id)
    lived = Lived(plan(muted, paths=paths, signals=both))
    silent = {tick.instrument for at_ns, tick in lived.told(TradeTick) if 5 <= at_ns / SECOND < 11}
    assert silent == {PERP.id}
    assert [lost.instruments for _, lost in lived.told(FeedLost)] == [(SPOT.id,)]


# By REST


def test_rest_tells_the_price_of_now_while_the_stream_is_silent() -> None:
    falls = moved(calm(), 7000, 990.0)
    lived = Lived(plan(Fault("mute", BEGIN_MS, 9000), paths=(falls,)))
    answers = lived.told(PricesChecked)
    calls = lived.history.calls["0.check"]
    assert len(answers) == calls
    for at_ns, checked in answers:
        expected = [p for p in falls.prints if p.at_ms * MS <= at_ns][-1]
        assert (checked.last, checked.bid) == (expected.last, expected.bid)
        assert (checked.ask, checked.mark) == (expected.ask, expected.mark)
    assert answers[0][0] - lived.told(FeedLost)[0][0] <= SECOND + REST_NS


def test_what_was_missed_is_told_after_the_return() -> None:
    path = calm()
    lived = Lived(plan(Fault("mute", BEGIN_MS, 6000), paths=(path,)))
    ((at_ns, missed),) = lived.told(PricesMissed)
    assert at_ns >= 11_100 * MS + 2 * REST_NS
    assert missed.complete
    assert missed.source is PriceSource.LAST
    told = [price.from_ms - EPOCH_MS for price in missed.prices]
    silent = [p.at_ms for p in path.prints if BEGIN_MS < p.at_ms < BEGIN_MS + 6000]
    assert set(silent) <= set(told)
    assert {price.low for price in missed.prices} == {1000.0}


def test_marks_are_missed_where_marks_are_compared() -> None:
    lived = Lived(plan(Fault("mute", BEGIN_MS, 6000), trigger=PriceSource.MARK))
    missed = [m for _, m in lived.told(PricesMissed) if m.source is PriceSource.MARK]
    marks = {p.mark for p in calm().prints}
    assert missed
    assert {price.low for each in missed for price in each.prices} <= marks


def test_of_a_book_nothing_is_told_afterwards() -> None:
    lived = Lived(plan(Fault("mute", BEGIN_MS, 6000), trigger=PriceSource.BOOK))
    assert not [m for _, m in lived.told(PricesMissed) if m.source is PriceSource.BOOK]


def test_an_outage_answers_no_question_about_prices() -> None:
    faults = Fault("mute", BEGIN_MS, 6000), Fault("outage", BEGIN_MS, 6500, 99)
    lived = Lived(plan(*faults))
    assert lived.history.calls["0.check"] > 0
    assert times(lived, PricesChecked, to_ms=11_000) == []
    assert len(lived.strikes("outage")) >= lived.history.calls["0.check"]
    assert lived.history.calls["0.fetch_missed"] > 0
    assert times(lived, PricesMissed, to_ms=11_500) == []


def test_what_is_asked_of_something_that_is_no_longer_watched_is_not_answered() -> None:
    def ask(world: World) -> None:
        assert world.process is not None
        feed = world.process.feeds["bybit"]
        feed.check(PERP)
        feed.fetch_missed(PERP, PriceSource.LAST, EPOCH_MS)
        feed.unwatch(PERP.id)

    def watch(world: World) -> None:
        assert world.process is not None
        world.process.feeds["bybit"].watch(PERP)

    lived = Lived(plan(), {BEGIN_MS: ask, BEGIN_MS + 1000: watch})
    assert lived.history.calls["0.check"] == 1
    assert lived.told(PricesChecked, PricesMissed) == []
    assert trades(lived, BEGIN_MS, BEGIN_MS + 1000) == []
    assert trades(lived, BEGIN_MS + 1000)


def test_watching_again_changes_nothing() -> None:
    def watch(world: World) -> None:
        assert world.process is not None
        world.process.feeds["bybit"].watch(PERP)

    lived = Lived(plan(), {BEGIN_MS: watch})
    assert times(lived, FeedResumed) == [2100]


def test_before_the_first_price_there_is_nothing_to_answer() -> None:
    path = calm()
    late = [p for p in path.prints if p.at_ms > 9000]

    def ask(world: World) -> None:
        assert world.process is not None
        world.process.feeds["bybit"].check(PERP)

    lived = Lived(plan(paths=(type(path)(PERP, tuple(late), ()),)), {4000: ask})
    assert lived.history.calls["0.check"] >= 1
    assert times(lived, PricesChecked, to_ms=9000) == []


# Late and wrong


def test_late_prices_arrive_all_at_once_in_their_order() -> None:
    late = Lived(plan(Fault("lag", BEGIN_MS, 2000), paths=(moved(calm(), 6000, 990.0),)))
    assert trades(late, BEGIN_MS, 7000) == []
    assert trades(late, 7000, 7001) == [(7000, 1000.0)] * 2 + [(7000, 990.0)] * 2
    assert late.strikes("lag") == [5100 * MS]


def test_late_prices_of_what_is_watched_no_longer_are_dropped() -> None:
    def unwatch(world: World) -> None:
        assert world.process is not None
        world.process.feeds["bybit"].unwatch(PERP.id)

    lived = Lived(plan(Fault("lag", BEGIN_MS, 2000)), {6000: unwatch})
    assert trades(lived, BEGIN_MS) == []


def test_one_bad_print_comes_before_true_ones_and_is_marked() -> None:
    lived = Lived(plan(Fault("spike", BEGIN_MS, 2000, amount=0.2)))
    (bad,) = [told for told in lived.history.told if not told.is_true]
    assert isinstance(bad.event, TradeTick)
    assert (bad.at_ns, bad.event.price) == (5100 * MS, 200.0)
    assert trades(lived, 5100, 5101) == [(5100, 200.0), (5100, 1000.0)]
    assert lived.strikes("spike") == [5100 * MS]


# Processes


def test_a_dead_process_hears_nothing_and_the_next_one_watches_again() -> None:
    lived = Lived(plan(crashes=(Crash(0, 999, False, BEGIN_MS, 1000),)))
    told = [(t.life, t.at_ns // MS) for t in lived.history.told if isinstance(t.event, TradeTick)]
    assert max(at_ms for life, at_ms in told if life == 0) < BEGIN_MS
    assert min(at_ms for life, at_ms in told if life == 1) >= BEGIN_MS + 1000
