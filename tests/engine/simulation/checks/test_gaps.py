import pytest
from msgspec.structs import replace

from engine.model.effects import SendNotice
from engine.model.events import ExitsAmended, MissedPrice, PricesMissed, Started
from engine.model.exit_set import ExitChanges
from engine.model.exits import Percent
from engine.model.rules.confirmation import Confirmation
from engine.model.rules.trailing import Trailing
from engine.model.ticks import PriceSource
from engine.simulation.history import Life, Struck, Told
from engine.simulation.plan import EPOCH_NS, Fault, Plan
from tests.engine.simulation.checks.cases import (
    BTC,
    EXITS,
    MS,
    PLAN,
    POSITION,
    D,
    Lifetime,
    begun,
    leave,
    position,
)

STRICT = replace(PLAN, gap_strict=True)
NOTICE = SendNotice("position.limit_missed", EPOCH_NS, {"position_id": POSITION})
FOUND = "missed_limit_told"


def missed(*prices: tuple[int, float], source: PriceSource = PriceSource.LAST) -> PricesMissed:
    made = [(EPOCH_NS // MS + at_ms, price) for at_ms, price in prices]
    found = tuple(MissedPrice(at_ms, at_ms, price, price) for at_ms, price in made)
    return PricesMissed(BTC.id, source, found, True, EPOCH_NS)


def gapped(*prices: tuple[int, float], plan: Plan = PLAN, **changes: object) -> Lifetime:
    """A lifetime with a gap, of which these prices were told at 2,000 ms."""
    lifetime = begun(plan)
    lifetime.tell(2000, missed(*prices, **changes))
    return lifetime


def rested(lifetime: Lifetime) -> set[str]:
    if not lifetime.positions:
        lifetime.positions.append(position(lifetime))
    return lifetime.names()


def test_a_limit_crossed_in_a_gap_and_not_told_is_found():
    assert FOUND in rested(gapped((1500, 94.0), (1600, 99.0)))


def test_a_limit_crossed_in_a_gap_may_be_told():
    lifetime = gapped((1500, 94.0), (1600, 99.0))
    lifetime.commit(2010, NOTICE)
    assert rested(lifetime) == set()
    assert lifetime.judge().checks[FOUND] == 1


def test_under_strict_it_must_close_as_well():
    lifetime = gapped((1500, 94.0), (1600, 99.0), plan=STRICT)
    lifetime.commit(2010, NOTICE)
    assert FOUND in rested(lifetime)
    lifetime = gapped((1500, 94.0), (1600, 99.0), plan=STRICT)
    lifetime.commit(2010, NOTICE)
    leave(lifetime, 2100)
    assert lifetime.names() == set()


def test_what_was_being_closed_need_not_be_told():
    lifetime = begun()
    lifetime.tick(1700, 94.0)
    leave(lifetime, 1701)
    place = len(lifetime.history.told)
    lifetime.tell(1750, missed((1500, 94.0)))
    lifetime.history.told.insert(place - 2, lifetime.history.told.pop())
    assert FOUND not in lifetime.names()


@pytest.mark.parametrize(
    "prices",
    [
        ((1500, 95.1),),
        ((90, 94.0),),
        ((1500, 99.0), (1600, 50.0), (1700, 99.0)),
        ((1500, 99.0), (1600, 50.0)),
    ],
    ids=["short of it", "before the entry", "contradicted", "unconfirmed"],
)
def test_prices_that_are_not_sure_to_cross_ask_for_nothing(prices: tuple[tuple[int, float], ...]):
    assert FOUND not in rested(gapped(*prices))


def test_a_jump_that_the_next_price_confirms_is_sure():
    assert FOUND in rested(gapped((1500, 99.0), (1600, 50.0), (1700, 51.0)))


def test_prices_of_another_source_ask_for_nothing():
    assert FOUND not in rested(gapped((1500, 94.0), source=PriceSource.MARK))


def test_a_stop_waits_for_its_confirmation_in_a_gap_too():
    waiting = replace(PLAN, exits=replace(EXITS, confirmation=Confirmation(ms=1000, ticks=1)))
    assert FOUND not in rested(gapped((1300, 94.0), (1600, 99.0), plan=waiting))
    assert FOUND in rested(gapped((300, 94.0), (1900, 94.0), plan=waiting))


def test_a_trailing_stop_that_moves_by_steps_is_not_sure():
    trailing = Trailing(Percent(D(2)), step=Percent(D(1)))
    plan = replace(PLAN, exits=replace(EXITS, trailing=trailing))
    assert FOUND not in rested(gapped((1500, 97.0), plan=plan))
    plan = replace(PLAN, exits=replace(EXITS, trailing=replace(trailing, step=None)))
    assert FOUND in rested(gapped((1500, 97.0), plan=plan))


def test_rules_that_came_later_are_not_held_against_older_prices():
    lifetime = begun()
    changes = ExitChanges(stop_loss=Percent(D(1)))
    lifetime.tell(1700, ExitsAmended(POSITION, changes, "owner", EPOCH_NS))
    lifetime.tell(2000, missed((1500, 98.5)))
    assert FOUND not in rested(lifetime)


def test_nothing_is_claimed_where_utc_was_wrong():
    lifetime = gapped((1500, 94.0), (1600, 99.0))
    lifetime.history.struck.append(Struck(0, Fault("jump", 0, 1)))
    assert FOUND not in rested(lifetime)


def test_a_process_that_ended_soon_need_not_have_told():
    lifetime = gapped((1500, 94.0), (1600, 99.0))
    lifetime.history.lives[0].ended_ns = 2500 * MS
    assert FOUND not in rested(lifetime)


@pytest.mark.parametrize(("made_ms", "found"), [(1300, True), (150, False)])
def test_the_time_a_process_was_down_is_a_gap(made_ms: int, found: bool):
    lifetime = begun()
    kept = position(lifetime)
    lifetime.history.lives[0].ended_ns = 1200 * MS
    lifetime.history.lives.append(Life(1, 1400 * MS, epoch=2))
    keys = frozenset((f.client_order_id or "", f.venue_trade_id) for f in lifetime.fills)
    started = Started(EPOCH_NS, True, positions=(kept,), booked=keys)
    for at_ms, event in ((1500, started), (2000, missed((made_ms, 94.0), (1450, 99.0)))):
        lifetime.history.told.append(Told(at_ms * MS, 1, event, True))
    assert (FOUND in rested(lifetime)) is found
