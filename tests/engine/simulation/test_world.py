"""A lifetime as a whole: laid out, healed, brought to rest, swept and ended."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.events import CloseRequested
from engine.model.exit_set import ExitChanges
from engine.model.exits import Disarmed, ExitReason
from engine.model.instrument import InstrumentId, Market
from engine.model.position import PositionStatus
from engine.model.signal import Action
from engine.model.ticks import PriceSource
from engine.simulation.books import Books, ModelBooks
from engine.simulation.mishaps import TWIN
from engine.simulation.plan import ActKind, Crash, Fault, OwnerAct, Plan
from engine.simulation.virtual import VirtualLoop
from engine.simulation.world import (
    HOME,
    LATE,
    LEAST_POSITIONS,
    LEAST_TICKS,
    REST_LIMIT_NS,
    RESTART_MS,
    TICKS,
    TOP_UPS,
    World,
)
from tests.engine.simulation.rig import (
    ENTRY_MS,
    HEAL_MS,
    MS,
    PERP,
    SECOND,
    SPOT,
    Lived,
    Story,
    calm,
    plan,
    signal,
)

NOTHING = ExitChanges(take_profit=Disarmed(), stop_loss=Disarmed())
BINANCE = replace(PERP, id=InstrumentId("binance", Market.LINEAR, "BTCUSDT"))


def still(plan: Plan) -> World:
    """A world in which nothing has happened yet."""
    return World(plan, closed(), None)


def closed() -> VirtualLoop:
    loop = VirtualLoop()
    loop.close()
    return loop


# Laid out


def test_its_guardian_is_set_up_as_planned() -> None:
    planned = plan(trigger=PriceSource.MARK, gap_strict=True, add_on_same=True)
    config = still(planned).config
    assert (config.exits, config.trigger) == (planned.exits, PriceSource.MARK)
    assert (config.gap_strict, config.add_on_same) == (True, True)
    assert set(config.fee_rates) == {("bybit", market) for market in Market}


def test_each_venue_has_the_rules_of_its_name() -> None:
    venues = still(plan(paths=(calm(BINANCE), calm(PERP), calm(SPOT)))).venues
    assert list(venues) == ["binance", "bybit"]
    assert not venues["binance"].model.rules.ids_unique_for_ever
    assert venues["bybit"].model.rules.ids_unique_for_ever


def test_in_some_seeds_fees_of_spot_are_paid_in_a_third_asset() -> None:
    assets = [still(plan(seed=seed)).venues["bybit"].model.rules.fee_asset for seed in range(40)]
    assert 4 <= assets.count({Market.SPOT: "BNB"}) <= 20
    assert {str(asset) for asset in assets} == {str({Market.SPOT: "BNB"}), "None"}
    assert assets[:5] == [
        still(plan(seed=seed)).venues["bybit"].model.rules.fee_asset for seed in range(5)
    ]


def test_real_books_are_opened_only_where_the_plan_asks_for_them() -> None:
    made: list[Books] = []

    def factory() -> Books:
        made.append(ModelBooks())
        return made[-1]

    for on_files in (False, True):
        world = World(plan(on_files=on_files), closed(), factory)
        assert (world.books in made) is on_files
    assert len(made) == 1


def test_prices_of_all_paths_are_made_in_order_of_time() -> None:
    seen: list[tuple[float | None, int]] = []

    def look(world: World) -> None:
        made = world.print_of(SPOT.id)
        seen.append((None if made is None else made.last, len(world.prints_since(PERP.id, 3000))))

    shifted = replace(
        calm(SPOT), prints=tuple(replace(p, at_ms=p.at_ms + 50) for p in calm().prints)
    )
    Lived(plan(paths=(calm(), shifted)), {120: look, 160: look, 3200: look, 5000: look})
    assert seen == [(None, 0), (1000.0, 0), (1000.0, 1), (1000.0, 4)]


def test_a_delisted_instrument_is_told_as_not_trading() -> None:
    seen = []

    def look(world: World) -> None:
        seen.append((world.is_trading(PERP).trading, world.is_trading(SPOT).trading))

    gone = Fault("delist", 3000, 1000, instrument=PERP.id)
    Lived(plan(gone, paths=(calm(), calm(SPOT))), {2999: look, 3500: look, 4001: look})
    assert seen == [(True, True), (False, True), (True, True)]


def test_everybody_who_listens_is_told_the_story() -> None:
    one, other = Story(), Story()
    lived = Lived(plan(), story=(one, other))
    assert one.lines == other.lines
    assert one.lines[0] == "life 0 begins at home"
    assert "all faults are healed" in one.lines
    assert one.events == other.events
    assert len(one.events) <= lived.history.events


# Lives


def test_the_service_is_started_again_after_its_downtime() -> None:
    lived = Lived(plan(crashes=(Crash(0, 999, False, 5000, 4321),)))
    first, second = lived.history.lives
    assert (first.ended_ns, second.began_ns) == (5000 * MS, 9321 * MS)
    assert second.ended_ns is not None


def test_nobody_answers_between_two_lives_and_the_newest_one_after() -> None:
    seen: list[int | None] = []

    def look(world: World) -> None:
        seen.append(None if world.process is None else world.process.number)

    moments = {1000: look, 6000: look, 9000: look}
    Lived(plan(crashes=(Crash(0, 999, False, 5000, 3000),)), moments)
    assert seen == [0, None, 1]


def test_a_crash_that_was_planned_for_later_does_not_strike_what_is_healed() -> None:
    crashes = (Crash(0, 999, False, HEAL_MS - 500, 2000), Crash(1, 1, False, HEAL_MS + 50_000, 500))
    lived = Lived(plan(crashes=crashes))
    assert [life.killed for life in lived.history.lives] == [True, False]


def test_who_runs_when_all_is_healed_is_killed_no_more() -> None:
    crashes = (Crash(0, 60, True, HEAL_MS + 1000, 2000),)
    lived = Lived(plan(crashes=crashes))
    assert [life.killed for life in lived.history.lives] == [False]


def test_a_start_that_is_refused_is_tried_again_and_uses_up_no_crash() -> None:
    crashes = (Crash(0, 999, False, 6000, 12_000), Crash(1, 999, False, 21_000, 700))
    lived = Lived(plan(Fault("twin", 5000, 5000), crashes=crashes))
    home = [life for life in lived.history.lives if life.host == HOME]
    refused = [life for life in home if life.refused is not None]
    assert refused
    assert refused[0].began_ns == 18_000 * MS
    following = home[home.index(refused[0]) + 1]
    assert following.began_ns >= (refused[0].ended_ns or 0) + 700 * MS
    assert lived.history.errors == []
    assert lived.history.quiet_ns is not None


def test_a_refused_start_waits_as_a_supervisor_does() -> None:
    lived = Lived(plan(Fault("twin", 5000, 5000), crashes=(Crash(0, 999, False, 6000, 9000),)))
    home = [life for life in lived.history.lives if life.host == HOME]
    refused = next(life for life in home if life.refused is not None)
    following = home[home.index(refused) + 1]
    assert following.began_ns == (refused.ended_ns or 0) + RESTART_MS * MS


# Healed


def test_all_faults_end_when_it_heals() -> None:
    endless = [Fault(kind, 1000, 10**6, 10**6, amount=500.0) for kind in ("outage", "mute", "busy")]
    lived = Lived(plan(*endless))
    assert lived.history.healed_ns == HEAL_MS * MS
    assert max(struck.at_ns for struck in lived.history.struck) <= HEAL_MS * MS
    assert lived.history.quiet_ns is not None


def test_a_clock_that_jumped_is_set_right() -> None:
    lived = Lived(plan(Fault("jump", 5000, 1, amount=60.0)))
    assert lived.world.utc_error_ns == 0


def test_orders_fill_whole_again_when_it_heals() -> None:
    lived = Lived(plan(Fault("partial", 1000, 10**6, 99)))
    assert not lived.world.venues["bybit"].model.rules.rests
    assert max(lived.strikes("partial")) < HEAL_MS * MS


def test_a_second_installation_is_switched_off() -> None:
    crashes = (Crash(0, 999, False, 6000, 9000),)
    lived = Lived(plan(Fault("twin", 5000, 5000), crashes=crashes))
    assert lived.history.crash_points["switched off"] == 1
    twin = next(life for life in lived.history.lives if life.host == TWIN and life.killed)
    assert twin.ended_ns == HEAL_MS * MS
    assert lived.history.lives[-1].host == HOME


# At rest


def test_it_waits_until_nothing_is_under_way() -> None:
    lived = Lived(plan(Fault("drop_req", HEAL_MS - 500, 2000), signals=(signal(0, HEAL_MS - 600),)))
    assert lived.strikes("drop_req")
    assert lived.history.quiet_ns is not None
    assert [position.status for position in lived.facts.positions] == [PositionStatus.CLOSED]


def test_instruments_trade_on_for_as_long_as_it_takes() -> None:
    lived = Lived(plan(Fault("drop_req", HEAL_MS - 500, 2000), signals=(signal(0, HEAL_MS - 600),)))
    from_ns, to_ns = lived.history.healed_ns, lived.history.requests[1].at_ns
    ticks = [t.at_ns for t in lived.history.told if isinstance(t.event, TICKS)]
    assert len({at_ns for at_ns in ticks if from_ns <= at_ns <= to_ns}) >= 4


def test_an_instrument_that_never_traded_begins_to() -> None:
    path = calm()
    late = replace(path, prints=(replace(path.prints[0], at_ms=HEAL_MS + 10**6),))
    lived = Lived(plan(paths=(late,)))
    assert lived.history.quiet_ns is not None
    assert lived.world.print_of(PERP.id) is not None


def test_a_service_that_does_not_come_to_rest_is_given_up_after_ten_minutes() -> None:
    def never(world: World) -> None:
        world._is_quiet = lambda: False  # type: ignore[method-assign]

    lived = Lived(plan(), {1000: never})
    assert lived.history.quiet_ns is None
    ended_ns = lived.history.lives[-1].ended_ns or 0
    limit_ns = lived.history.healed_ns + REST_LIMIT_NS
    assert limit_ns <= ended_ns <= limit_ns + 5 * SECOND
    assert lived.told(CloseRequested) == []


@pytest.mark.parametrize("action", [Action.BUY, Action.SELL])
@pytest.mark.parametrize("reason", [ExitReason.STOP_LOSS, ExitReason.TAKE_PROFIT])
def test_the_sweep_reaches_every_limit(action: Action, reason: ExitReason) -> None:
    only = {ExitReason.STOP_LOSS: "stop_loss", ExitReason.TAKE_PROFIT: "take_profit"}[reason]
    exits = ExitChanges(**{"stop_loss": Disarmed(), "take_profit": Disarmed()} | {only: None})
    lived = Lived(plan(signals=(signal(0, action=action, exits=exits),)))
    (position,) = lived.facts.positions
    assert position.exit_reason is reason
    assert lived.told(CloseRequested) == []


def test_only_what_is_held_is_swept() -> None:
    lived = Lived(plan(paths=(calm(), calm(SPOT))))
    swept = {p.last for p in lived.world.prints_since(PERP.id, HEAL_MS)}
    left = {p.last for p in lived.world.prints_since(SPOT.id, HEAL_MS)}
    assert min(swept) < 900
    assert max(swept) > 1100
    assert left == {1000.0}


def test_the_owner_closes_what_no_limit_closes() -> None:
    lived = Lived(plan(signals=(signal(0, exits=NOTHING),)))
    ((asked_ns, _),) = lived.told(CloseRequested)
    (position,) = lived.facts.positions
    assert position.exit_reason is ExitReason.MANUAL
    assert asked_ns > HEAL_MS * MS + 5 * SECOND
    last = lived.world.print_of(PERP.id)
    assert last is not None
    assert last.last >= 2000.0  # where everything is worth enough to be sold


def test_without_a_process_nothing_is_swept_or_closed() -> None:
    world = still(plan())
    world._sweep()
    world._close_all()
    assert world.history.acts == []
    assert not world._is_quiet()


def test_it_ends_every_process_in_order() -> None:
    lived = Lived(plan(crashes=(Crash(0, 999, False, 5000, 500),)))
    assert lived.world.processes == []
    assert [life.killed for life in lived.history.lives] == [True, False]
    assert all(life.ended_ns for life in lived.history.lives)


def test_what_is_left_is_what_storage_and_the_venues_hold() -> None:
    lived = Lived(plan())
    assert len(lived.facts.positions) == 1
    venue = lived.ends["bybit"]
    assert [fill for fill, _ in lived.facts.fills] == list(venue.fills)
    assert venue.held == {PERP.id: Decimal(0)}
    assert [each.order.client_order_id for each in venue.orders] == [
        order.client_order_id for order in lived.facts.orders
    ]


# Enough of it


def ticks(lived: Lived) -> int:
    return sum(isinstance(told.event, TICKS) for told in lived.history.told)


def test_a_poor_lifetime_is_given_positions_and_prices() -> None:
    poor = plan(signals=())
    assert ticks(Lived(poor)) == 0
    lived = Lived(poor, whole=True)
    opened = [position for position in lived.facts.positions if position.entry_value]
    assert len(opened) >= LEAST_POSITIONS
    assert ticks(lived) >= LEAST_TICKS
    assert {delivery.signal.number > LATE for delivery in lived.history.deliveries} == {True}
    assert lived.history.quiet_ns is not None


def test_what_is_added_goes_to_all_instruments() -> None:
    lived = Lived(plan(signals=(), paths=(calm(), calm(SPOT))), whole=True)
    assert {position.instrument.id for position in lived.facts.positions} == {PERP.id, SPOT.id}


def test_a_rich_lifetime_is_left_alone() -> None:
    prints = tuple(
        replace(each, at_ms=each.at_ms + shift) for each in calm().prints for shift in (0, 200)
    )
    rich = plan(
        paths=(replace(calm(), prints=prints),),
        signals=tuple(signal(n, ENTRY_MS + n * 500, strategy=str(n)) for n in range(3)),
    )
    lived = Lived(rich, whole=True)
    assert ticks(lived) >= LEAST_TICKS
    assert [delivery.signal.number for delivery in lived.history.deliveries] == [0, 1, 2]


def test_where_nothing_is_opened_it_is_given_up() -> None:
    stopped = plan(signals=(), acts=(OwnerAct(1000, ActKind.STOP_BOT),))
    lived = Lived(stopped, whole=True)
    late = [delivery for delivery in lived.history.deliveries if delivery.signal.number > LATE]
    assert len(late) == TOP_UPS * LEAST_POSITIONS
    assert lived.facts.positions == []
