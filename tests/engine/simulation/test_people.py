"""Senders and the owner: what they ask for, and the answers they get."""

from decimal import Decimal

import pytest

from engine.model.errors import InvariantBroken, Retryable
from engine.model.events import BotSwitched, CloseRequested, ExitsAmended
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, Disarmed, ExitReason
from engine.model.position import PositionStatus
from engine.model.signal import Action, Size, SizeKind
from engine.simulation.people import LATE_MS, OWNER, SOURCE
from engine.simulation.plan import EPOCH_NS, ActKind, Crash, Fault, OwnerAct
from engine.simulation.world import World
from tests.engine.simulation.rig import ENTRY_MS, HEAL_MS, MS, PERP, SECOND, Lived, plan, signal

ACT_MS = 6000


def statuses(lived: Lived) -> list[int | None]:
    return [delivery.status for delivery in lived.history.deliveries]


def acting(kind: ActKind, *faults: Fault, **changes: object) -> Lived:
    """A life in which the owner does one thing."""
    return Lived(plan(*faults, acts=(OwnerAct(ACT_MS, kind, **changes),)))


# Signals


def test_a_signal_is_answered_with_202_once_it_is_durable() -> None:
    lived = Lived(plan())
    (delivery,) = lived.history.deliveries
    (record,) = lived.facts.signals
    assert (delivery.status, delivery.life) == (202, 0)
    assert delivery.signal_id == record.signal.id
    committed = [
        commit.at_ns
        for commit in lived.history.commits
        if any(getattr(each, "kind", "") == "signal.received" for each in commit.records)
    ]
    assert delivery.at_ns == ENTRY_MS * MS < committed[0] <= (delivery.answered_ns or 0)


def test_a_signal_says_what_was_planned() -> None:
    size = Size(SizeKind.QUOTE_QTY, Decimal(50))
    exits = ExitChanges(stop_loss=AtPrice(Decimal(900)))
    planned = signal(7, action=Action.SELL, size=size, exits=exits, strategy="s", sent_ms=1500)
    (record,) = Lived(plan(signals=(planned,))).facts.signals
    sent = record.signal
    assert (sent.source, sent.action, sent.instrument) == (SOURCE, Action.SELL, PERP)
    assert (sent.size, sent.exits, sent.strategy) == (size, exits, "s")
    assert sent.external_id == "signal-7"
    assert sent.sent_at_ns == EPOCH_NS + 1500 * MS
    assert sent.received_at_ns == EPOCH_NS + ENTRY_MS * MS


@pytest.mark.parametrize("has_id", [True, False])
@pytest.mark.parametrize("again_ms", [ENTRY_MS, ENTRY_MS + 1, ENTRY_MS + 900])
def test_a_repeated_delivery_is_answered_with_200_and_the_same_id(
    has_id: bool, again_ms: int
) -> None:
    lived = Lived(plan(signals=(signal(0, ENTRY_MS, again_ms, has_id=has_id),)))
    first, second = lived.history.deliveries
    assert statuses(lived) == [202, 200]
    assert second.signal_id == first.signal_id
    assert len(lived.facts.signals) == 1
    assert lived.strikes("dup_post") == [again_ms * MS]


def test_one_id_with_another_body_is_refused_with_409() -> None:
    def spoil(world: World) -> None:
        """The sender uses his id again for something else."""
        people = world._people
        made = people._signal

        def other(process: object, planned: object) -> object:
            return type(sent := made(process, planned))(  # type: ignore[arg-type]
                **{name: getattr(sent, name) for name in sent.__struct_fields__}
                | {"raw": '{"other":1}'}
            )

        people._signal = other  # type: ignore[method-assign, assignment]

    lived = Lived(plan(signals=(signal(0, ENTRY_MS, 5000),)), {4000: spoil})
    assert statuses(lived) == [202, 409]
    assert lived.history.deliveries[1].signal_id is None
    assert len(lived.facts.signals) == 1


def test_storage_that_refuses_is_answered_with_503_and_nothing_is_taken() -> None:
    faults = Fault("enospc", ENTRY_MS - 500, 5000, 99)
    lived = Lived(plan(faults, signals=(signal(0), signal(1, ENTRY_MS + 1500))))
    assert lived.history.deliveries[1].status == 503
    assert lived.history.deliveries[1].signal_id is None
    assert len(lived.facts.signals) == 1


def test_storage_that_is_slow_is_answered_with_503_and_the_repetition_is_known() -> None:
    slow = Fault("slow_disk", ENTRY_MS, 100, 9, amount=1500)
    lived = Lived(plan(slow, signals=(signal(0, ENTRY_MS, ENTRY_MS + 5000),)))
    first, second = lived.history.deliveries
    assert first.status == 503
    assert (first.answered_ns or 0) - first.at_ns == 900 * MS
    assert second.status in {200, 202}
    assert len(lived.facts.signals) == 1


def test_nobody_answers_while_nobody_is_there() -> None:
    crashes = (Crash(0, 999, False, 1000, 3000),)
    lived = Lived(plan(crashes=crashes))
    (delivery,) = lived.history.deliveries
    assert (delivery.life, delivery.status, delivery.answered_ns) == (None, None, None)
    assert lived.facts.signals == []


def test_a_process_that_dies_before_its_answer_gives_none() -> None:
    crashes = (Crash(0, 999, False, ENTRY_MS + 1, 3000),)
    (delivery,) = Lived(plan(crashes=crashes)).history.deliveries
    assert (delivery.life, delivery.status) == (0, None)


def test_an_error_of_the_inbox_ends_the_service() -> None:
    def spoil(world: World) -> None:
        assert world.process is not None

        def broken(*_: object) -> None:
            raise InvariantBroken("the books contradict themselves")

        world.process.inbox._stored_first = broken  # type: ignore[method-assign, assignment]

    lived = Lived(plan(), {1000: spoil})
    assert [text for *_, text in lived.history.errors] == [
        "InvariantBroken: the books contradict themselves"
    ]
    assert lived.history.deliveries[0].status is None


def test_a_signal_that_was_sent_long_ago_is_late() -> None:
    late_ms = LATE_MS + 1000
    paths = plan().paths
    lived = Lived(
        plan(heal_ms=30_000, paths=paths, signals=(signal(0, late_ms, sent_ms=late_ms - LATE_MS),))
    )
    assert lived.strikes("late_post") == [late_ms * MS]
    fresh = Lived(plan(signals=(signal(0, late_ms - 2000, sent_ms=late_ms - LATE_MS - 1999),)))
    assert fresh.strikes("late_post") == []


def test_signals_of_an_instrument_that_overtake_each_other_are_noted() -> None:
    def swapped(first_ms: int, second_ms: int) -> list[int]:
        signals = (signal(0, 3000, sent_ms=first_ms), signal(1, 4000, sent_ms=second_ms))
        return Lived(plan(signals=signals)).strikes("swap")

    assert swapped(2900, 2800) == [4 * SECOND]
    assert swapped(2800, 2900) == []
    assert swapped(2800, 2800) == []


def test_signals_without_a_time_overtake_nothing() -> None:
    signals = (signal(0, 3000, sent_ms=2900), signal(1, 4000), signal(2, 5000, sent_ms=2950))
    assert Lived(plan(signals=signals)).strikes("swap") == []


def test_the_latest_time_counts_for_those_that_come_after() -> None:
    sent = ((3000, 2900), (4000, 2000), (5000, 2500))
    signals = tuple(signal(n, at, sent_ms=ms) for n, (at, ms) in enumerate(sent))
    assert Lived(plan(signals=signals)).strikes("swap") == [4 * SECOND, 5 * SECOND]


def test_a_delivery_in_a_stall_is_taken_after_it() -> None:
    lived = Lived(plan(Fault("stall", 1500, 3000)))
    (record,) = lived.facts.signals
    assert record.signal.received_at_ns == EPOCH_NS + 4500 * MS
    assert lived.history.deliveries[0].at_ns == ENTRY_MS * MS


# The owner


def test_the_owner_closes_a_position() -> None:
    lived = acting(ActKind.CLOSE)
    ((_, asked),) = lived.told(CloseRequested)
    (acted,) = lived.history.acts
    (position,) = lived.facts.positions
    assert (asked.position_id, asked.actor, asked.fraction) == (position.id, OWNER, 1)
    assert (acted.position_id, acted.event, acted.done) == (position.id, asked, True)
    assert acted.at_ns > ACT_MS * MS
    assert (position.status, position.exit_reason) == (PositionStatus.CLOSED, ExitReason.MANUAL)


def test_the_owner_closes_twice() -> None:
    lived = acting(ActKind.CLOSE_TWICE)
    assert len(lived.told(CloseRequested)) == 2
    assert [acted.done for acted in lived.history.acts] == [True, True]
    assert len([r for r in lived.history.requests if r.order.reduce_only]) == 1


def test_the_owner_closes_a_part() -> None:
    lived = acting(ActKind.PART, fraction=Decimal("0.5"))
    ((_, asked),) = lived.told(CloseRequested)
    assert asked.fraction == Decimal("0.5")
    first = next(r.order for r in lived.history.requests if r.order.reduce_only)
    assert first.qty == lived.entry.order.qty / 2


def test_the_owner_amends_exits() -> None:
    lived = acting(ActKind.AMEND, changes=ExitChanges(stop_loss=AtPrice(Decimal(980))))
    ((_, amended),) = lived.told(ExitsAmended)
    assert amended.changes.stop_loss == AtPrice(Decimal(980))
    assert lived.history.acts[0].done
    assert lived.facts.positions[0].stop_loss == Decimal(980)


def test_an_amendment_that_cannot_be_made_is_refused() -> None:
    above = ExitChanges(stop_loss=AtPrice(Decimal(5000)))
    lived = acting(ActKind.AMEND, changes=above)
    assert lived.told(ExitsAmended) == []
    (acted,) = lived.history.acts
    assert (acted.event, acted.position_id, acted.done) == (None, None, False)
    assert lived.facts.positions[0].stop_loss == Lived(plan()).facts.positions[0].stop_loss


def test_the_owner_stops_and_starts_entries() -> None:
    acts = (OwnerAct(1000, ActKind.STOP_BOT), OwnerAct(6000, ActKind.START_BOT))
    lived = Lived(plan(acts=acts, signals=(signal(0), signal(1, 8000))))
    assert [event.accepting for _, event in lived.told(BotSwitched)] == [False, True]
    assert [acted.position_id for acted in lived.history.acts] == [None, None]
    assert len(lived.facts.positions) == 1


@pytest.mark.parametrize("nth", [0, 1, 2, 3])
def test_the_owner_picks_a_position_modulo_their_number(nth: int) -> None:
    signals = (signal(0, strategy="a"), signal(1, 2500, strategy="b"))
    lived = Lived(plan(signals=signals, acts=(OwnerAct(ACT_MS, ActKind.CLOSE, nth),)))
    mine = sorted(lived.facts.positions, key=lambda p: (p.created_at_ns, p.id))
    ((_, asked),) = lived.told(CloseRequested)
    assert asked.position_id == mine[nth % 2].id


@pytest.mark.parametrize("kind", [ActKind.CLOSE, ActKind.AMEND, ActKind.CLOSE_TWICE])
def test_without_a_position_there_is_nothing_to_do(kind: ActKind) -> None:
    lived = Lived(plan(signals=(), acts=(OwnerAct(ACT_MS, kind),)))
    assert lived.history.acts == []


def test_without_a_process_there_is_nobody_to_ask() -> None:
    crashes = (Crash(0, 999, False, ACT_MS - 500, 3000),)
    lived = Lived(plan(acts=(OwnerAct(ACT_MS, ActKind.STOP_BOT),), crashes=crashes))
    assert lived.history.acts == []


def test_a_process_that_dies_meanwhile_does_not_say_that_it_is_done() -> None:
    crashes = (Crash(0, 999, False, ACT_MS + 1, 3000),)
    lived = Lived(plan(acts=(OwnerAct(ACT_MS, ActKind.STOP_BOT),), crashes=crashes))
    assert not any(acted.done for acted in lived.history.acts)


def test_an_act_at_whose_effect_the_process_dies_has_no_answer() -> None:
    for call in range(15, 40):
        crashes = (Crash(0, call, False, 19_000, 3000),)
        lived = Lived(plan(acts=(OwnerAct(ACT_MS, ActKind.CLOSE),), crashes=crashes))
        if lived.history.crash_points == {"before submit": 1}:
            break
    assert lived.history.lives[0].ended_ns == ACT_MS * MS
    assert lived.history.acts == []
    assert lived.history.errors == []


def test_an_act_that_is_refused_for_now_has_not_happened() -> None:
    def refuse(world: World) -> None:
        assert world.process is not None

        async def refused(_: object) -> None:
            raise Retryable("too much waits")

        world.process.flow.handle_durably = refused  # type: ignore[method-assign, assignment]

    lived = Lived(plan(acts=(OwnerAct(ACT_MS, ActKind.CLOSE),)), {ACT_MS - 1: refuse})
    acted = lived.history.acts[0]
    assert (acted.event, acted.done) == (None, False)
    assert not [at_ns for at_ns, _ in lived.told(CloseRequested) if at_ns < HEAL_MS * MS]


def test_an_error_of_an_act_ends_the_service() -> None:
    def spoil(world: World) -> None:
        assert world.process is not None

        async def broken(_: object) -> None:
            raise InvariantBroken("a position without a side")

        world.process.flow.handle_durably = broken  # type: ignore[method-assign, assignment]

    lived = Lived(plan(acts=(OwnerAct(ACT_MS, ActKind.CLOSE),)), {ACT_MS - 1: spoil})
    assert [text for *_, text in lived.history.errors] == [
        "InvariantBroken: a position without a side"
    ]


def test_at_the_end_the_owner_closes_what_is_left() -> None:
    far = ExitChanges(take_profit=Disarmed(), stop_loss=Disarmed())
    lived = Lived(plan(signals=(signal(0, exits=far),)))
    ((at_ns, asked),) = lived.told(CloseRequested)
    (position,) = lived.facts.positions
    assert (asked.actor, asked.position_id) == (OWNER, position.id)
    assert at_ns > lived.history.healed_ns
    assert position.status is PositionStatus.CLOSED
