from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.events import CloseRequested, Event, ExitsAmended, SignalReceived, Started
from engine.model.exit_set import ExitChanges
from engine.model.exits import AtPrice, ExitReason
from engine.model.position import Position, PositionStatus
from engine.model.signal import Action, Signal, Size, SizeKind
from engine.simulation.history import Acted, Delivery, Life, Told
from engine.simulation.plan import EPOCH_NS, ActKind, OwnerAct, PlannedSignal
from tests.engine.simulation.checks.cases import (
    BTC,
    EXITS,
    MS,
    POSITION,
    D,
    Lifetime,
    begun,
    leave,
    position,
)

SENT_NS = EPOCH_NS + 1000 * MS


def acted(lifetime: Lifetime, event: Event, *, done: bool = True) -> None:
    """The owner does something at 1,000 ms and is answered at 1,010 ms."""
    lifetime.tell(1000, event)
    act = OwnerAct(1000, ActKind.CLOSE)
    lifetime.history.acts.append(Acted(1010 * MS, 0, act, POSITION, event, done))


def close(fraction: str = "1") -> CloseRequested:
    return CloseRequested(POSITION, "owner", SENT_NS, D(fraction))


def restarted(lifetime: Lifetime, durable: Position) -> None:
    """The process ends at 1,500 ms, and the next one begins at 2,000 ms."""
    lifetime.history.lives[0].ended_ns = 1500 * MS
    lifetime.history.lives.append(Life(1, 2000 * MS, epoch=2))
    started = Started(EPOCH_NS, True, positions=(durable,))
    lifetime.history.told.append(Told(2000 * MS, 1, started, True))


@pytest.mark.parametrize(
    ("fraction", "done", "found"),
    [("1", True, {"accepted_closes"}), ("0.5", True, set()), ("1", False, set())],
)
def test_a_close_of_all_that_was_accepted_is_sent(fraction: str, done: bool, found: set[str]):
    lifetime = begun()
    acted(lifetime, close(fraction), done=done)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() == found


@pytest.mark.parametrize(("close_at", "found"), [(1900, set()), (2100, {"accepted_closes"})])
def test_a_close_that_was_accepted_is_sent_within_a_second(close_at: int, found: set[str]):
    lifetime = begun()
    acted(lifetime, close())
    leave(lifetime, close_at, reason=ExitReason.MANUAL, trigger_price=None, actor="owner")
    assert lifetime.names() == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, {"accepted_closes"}),
        ({"size": Size(SizeKind.QTY, D(1))}, set()),
        ({"size": Size(SizeKind.QUOTE_QTY, D(1))}, {"accepted_closes"}),
        ({"strategy": "another"}, set()),
        ({"sent_at_ns": EPOCH_NS - 1}, set()),
        ({"instrument": replace(BTC, id=replace(BTC.id, symbol="ETHUSDT"))}, set()),
        ({"action": Action.SELL}, set()),
    ],
)
def test_a_signal_closes_all_that_it_means(changes: dict[str, object], found: set[str]):
    lifetime = begun()
    signal = replace(Signal("c" * 26, SENT_NS, "webhook", Action.CLOSE, BTC), **changes)
    lifetime.tell(1000, SignalReceived(signal, "d" * 26, SENT_NS))
    planned = PlannedSignal(2, BTC, Action.CLOSE, (1000,))
    answer = Delivery(1000 * MS, 0, planned, 1020 * MS, 202, signal.id)
    lifetime.history.deliveries.append(answer)
    lifetime.positions.append(position(lifetime))
    assert lifetime.names() & {"accepted_closes"} == found


def test_the_next_process_sends_what_the_one_before_accepted():
    lifetime = begun()
    acted(lifetime, close())
    durable = position(lifetime, status=PositionStatus.CLOSING)
    restarted(lifetime, durable)
    lifetime.positions.append(durable)
    assert "accepted_closes" in lifetime.names()
    lifetime.history.lives[1].ended_ns = 2500 * MS
    assert "accepted_closes" not in lifetime.names()


@pytest.mark.parametrize(("stop", "found"), [("90", set()), ("95", {"amendments_last"})])
def test_an_amendment_that_was_accepted_is_in_the_next_ledger(stop: str, found: set[str]):
    lifetime = begun()
    amended = ExitsAmended(POSITION, ExitChanges(stop_loss=AtPrice(D(90))), "owner", SENT_NS)
    acted(lifetime, amended)
    durable = position(lifetime, exits=replace(EXITS, stop_loss=AtPrice(Decimal(stop))))
    restarted(lifetime, durable)
    lifetime.positions.append(durable)
    assert lifetime.names() & {"amendments_last"} == found


def test_a_later_amendment_may_have_taken_its_place():
    lifetime = begun()
    for stop in (90, 91):
        changes = ExitChanges(stop_loss=AtPrice(D(stop)))
        acted(lifetime, ExitsAmended(POSITION, changes, "owner", SENT_NS + stop))
    durable = position(lifetime, exits=replace(EXITS, stop_loss=AtPrice(D(91))))
    restarted(lifetime, durable)
    lifetime.positions.append(durable)
    assert "amendments_last" not in lifetime.names()
