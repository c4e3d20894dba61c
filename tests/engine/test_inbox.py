"""The inbox over a real flow; the ledger of signals is what the flow has committed."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from engine import inbox as subject
from engine.inbox import SAME_BODY_NS, AnsweredLate, Claim, IdReused, Inbox, Receipt
from engine.model.effects import AppendEvent, SaveSignal
from engine.model.errors import Rejected, Retryable
from engine.model.events import BotSwitched
from engine.model.instrument import Instrument, InstrumentId
from engine.model.signal import Action, Outcome, Signal, SignalRecord, body_digest
from tests.engine.core.flow_rig import World, until
from tests.engine.core.rig import BTC_PERP, ETH_PERP, SECOND, T0, position_id


class Store:
    """``engine.ports.SignalStore`` over what a ledger in memory holds."""

    def __init__(self, here: World) -> None:
        self._ledger = here.ledger
        self.threads: set[int] = set()
        self.failing = False

    def find_signal(self, source: str, external_id: str) -> SignalRecord | None:
        return self._last(lambda s: (s.source, s.external_id) == (source, external_id))

    def find_recent_body(self, source: str, digest: str, since_ns: int) -> SignalRecord | None:
        return self._last(
            lambda s: (
                (s.source, body_digest(s.raw)) == (source, digest) and s.received_at_ns >= since_ns
            )
        )

    def last_accepted_on(self, instrument: InstrumentId) -> SignalRecord | None:
        return self._last(lambda s: s.instrument.id == instrument)

    def records(self) -> list[SignalRecord]:
        saved = [r.record for r in self._ledger.records if isinstance(r, SaveSignal)]
        return list({record.signal.id: record for record in saved}.values())

    def _last(self, fits: Callable[[Signal], bool]) -> SignalRecord | None:
        if self.failing:
            raise Retryable("locked")
        self.threads.add(threading.get_ident())
        found = [record for record in self.records() if fits(record.signal)]
        return max(found, key=lambda r: (r.signal.received_at_ns, r.signal.id), default=None)


class Once:
    """A claim that can be taken once, unless it is given back."""

    def __init__(self) -> None:
        self.used = False

    def take(self) -> None:
        if self.used:
            raise Rejected("used before")
        self.used = True

    def release(self) -> None:
        self.used = False


class Door:
    """An inbox, and short words for what arrives at it."""

    def __init__(self, here: World) -> None:
        self.world = here
        self.store = Store(here)
        self._drawn = 0
        self.inbox = Inbox(here.flow, self.store, self._random_id)
        self._sent = 0

    def _random_id(self) -> str:
        self._drawn += 1
        return position_id(self._drawn)

    def signal(self, key: str | None = None, body: str = "buy", **fields: Any) -> Signal:
        self._sent += 1
        plain = Signal(
            id=f"s{self._sent:03}",
            received_at_ns=self.world.clock.now,
            source="webhook",
            action=Action.BUY,
            instrument=BTC_PERP,
            external_id=key,
            raw=body,
        )
        return replace(plain, **fields)

    async def send(
        self,
        key: str | None = None,
        body: str = "buy",
        *,
        rejection: str | None = None,
        claim: Claim | None = None,
        derived: bool = False,
        **fields: Any,
    ) -> Receipt:
        signal = self.signal(key, body, **fields)
        return await self.inbox.deliver(
            signal, rejection=rejection, claim=claim, id_is_derived=derived
        )

    async def send_all(self, signals: Sequence[Signal]) -> list[Receipt | BaseException]:
        """Deliver at the same time."""
        arriving = (self.inbox.deliver(signal) for signal in signals)
        return await asyncio.gather(*arriving, return_exceptions=True)

    def lines(self, kind: str) -> list[AppendEvent]:
        records = self.world.ledger.records
        return [r for r in records if isinstance(r, AppendEvent) and r.kind == kind]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    here = World()
    await here.run()
    yield Door(here)
    await here.stop()
    with suppress(Retryable):
        await here.flow.drain()
    assert "signal" not in {task.get_name() for task in asyncio.all_tasks()}


# Once


@pytest.mark.parametrize("key", ["one", None])
async def test_fifty_deliveries_at_once_are_one_signal(door: Door, key: str | None) -> None:
    receipts = await door.send_all([door.signal(key) for _ in range(50)])
    told = Counter(receipts)
    assert told == {Receipt("s001", False): 1, Receipt("s001", True): 49}
    assert [record.signal.id for record in door.store.records()] == ["s001"]
    assert len(door.lines("signal.received")) == 1


async def test_different_signals_at_once_are_each_taken_at_a_moment_of_its_own(door: Door) -> None:
    sent = [door.signal(str(n), instrument=ETH_PERP) for n in range(20)]
    assert await door.send_all(sent) == [Receipt(signal.id, False) for signal in sent]
    times = [record.signal.received_at_ns for record in door.store.records()]
    assert times == [T0 + n for n in range(20)]


async def test_a_moment_is_moved_only_where_it_was_given_before(door: Door) -> None:
    await door.send("a")
    door.world.clock.now += SECOND
    await door.send("b")
    times = [record.signal.received_at_ns for record in door.store.records()]
    assert times == [T0, T0 + SECOND]


async def test_it_returns_after_the_commit(door: Door) -> None:
    receipt = await door.send("a")
    assert door.store.find_signal("webhook", "a") is not None
    assert receipt == Receipt("s001", False)


async def test_a_known_id_is_a_duplicate_however_late(door: Door) -> None:
    first = await door.send("7")
    door.world.clock.now += 86_400 * SECOND
    assert await door.send("7") == Receipt(first.signal_id, True)


async def test_the_same_id_of_another_source_is_another_signal(door: Door) -> None:
    await door.send("7")
    assert not (await door.send("7", source="rest")).is_duplicate


async def test_a_known_id_with_another_body_is_refused(door: Door) -> None:
    await door.send("7")
    with pytest.raises(IdReused, match="7"):
        await door.send("7", "sell")
    assert len(door.store.records()) == 1


async def test_a_reused_id_is_seen_among_deliveries_at_once(door: Door) -> None:
    sent = [door.signal("7", body) for body in ("buy", "other") * 10]
    answers = await door.send_all(sent)
    assert Counter(type(answer) for answer in answers) == {Receipt: 10, IdReused: 10}
    assert Counter(a.is_duplicate for a in answers if isinstance(a, Receipt)) == {False: 1, True: 9}


# Equal bodies


async def test_without_an_id_an_equal_body_is_a_duplicate_for_a_minute(door: Door) -> None:
    first = await door.send()
    door.world.clock.now += SAME_BODY_NS
    assert await door.send() == Receipt(first.signal_id, True)
    door.world.clock.now += 1
    assert not (await door.send()).is_duplicate


async def test_an_equal_body_of_another_source_is_new(door: Door) -> None:
    await door.send()
    assert not (await door.send(source="rest")).is_duplicate


async def test_an_equal_body_under_an_id_of_its_own_is_new(door: Door) -> None:
    await door.send("a")
    assert not (await door.send("b")).is_duplicate


async def test_a_derived_id_does_not_hide_an_equal_body(door: Door) -> None:
    first = await door.send("x", derived=True)
    assert await door.send("y", derived=True) == Receipt(first.signal_id, True)
    door.world.clock.now += 2 * SAME_BODY_NS
    assert await door.send("x", derived=True) == Receipt(first.signal_id, True)


async def test_another_signal_on_the_instrument_in_between_makes_the_body_new(door: Door) -> None:
    await door.send()
    await door.send(body="close")
    assert not (await door.send()).is_duplicate


async def test_a_signal_on_another_instrument_in_between_does_not(door: Door) -> None:
    await door.send()
    await door.send(body="eth", instrument=ETH_PERP)
    assert (await door.send()).is_duplicate


async def test_the_same_holds_among_deliveries_at_once(door: Door) -> None:
    def sent(body: str, instrument: Instrument = BTC_PERP) -> Signal:
        return door.signal(None, body, instrument=instrument)

    signals = [sent("buy"), sent("buy"), sent("eth", ETH_PERP), sent("buy"), sent("close")]
    answers = await door.send_all([*signals, sent("buy"), sent("buy")])
    known = [answer.signal_id for answer in answers if isinstance(answer, Receipt)]
    assert known == ["s001", "s001", "s003", "s001", "s005", "s006", "s006"]


async def test_what_waits_in_between_hides_an_equal_body_of_the_ledger(door: Door) -> None:
    await door.send()
    answers = await door.send_all([door.signal(None, "close"), door.signal()])
    assert answers == [Receipt("s002", False), Receipt("s003", False)]


# Signals the guardian is not given


async def test_a_rejected_signal_is_recorded_and_recognised(door: Door) -> None:
    first = await door.send("7", rejection="no list")
    record = door.store.find_signal("webhook", "7")
    assert record is not None
    assert (record.outcome, record.reason) == (Outcome.REJECTED, "no list")
    (line,) = door.lines("signal.rejected")
    assert (line.actor, line.at_ns) == ("webhook", T0)
    assert line.data == {
        "signal_id": "s001",
        "instrument": str(BTC_PERP.id),
        "reason": "no list",
        "position_id": None,
    }
    assert not door.lines("signal.received")
    assert await door.send("7", rejection="no list") == Receipt(first.signal_id, True)


# Claims


async def test_a_claim_is_taken_by_a_new_signal_only(door: Door) -> None:
    claim = Once()
    await door.send("7", claim=claim)
    assert claim.used
    assert (await door.send("7", claim=claim)).is_duplicate


async def test_a_claim_that_was_used_refuses_a_new_signal(door: Door) -> None:
    claim = Once()
    await door.send("7", claim=claim)
    with pytest.raises(Rejected, match="used before"):
        await door.send("8", claim=claim)
    assert len(door.store.records()) == 1
    assert not (await door.send("8")).is_duplicate


# Storage that does not answer


async def test_what_storage_did_not_take_may_come_again_with_its_claim(door: Door) -> None:
    here, claim = door.world, Once()
    here.ledger.failing = True
    here.flow.handle(BotSwitched(False, "test", T0))
    await until(lambda: bool(here.flow.problems()))
    with pytest.raises(Retryable):
        await door.send("7", claim=claim)
    with pytest.raises(Retryable):
        await door.send("8")
    assert not claim.used
    here.ledger.failing = False
    await until(lambda: not here.flow.problems())
    assert not (await door.send("7", claim=claim)).is_duplicate


async def test_a_slow_commit_is_told_in_time_and_recognised_later(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "ANSWER_WITHIN_S", 0.02)
    door.world.ledger.gate = threading.Event()
    claim = Once()
    with pytest.raises(AnsweredLate):
        await door.send("7", claim=claim)
    assert claim.used
    door.world.ledger.gate.set()
    monkeypatch.undo()
    assert await door.send("7", claim=claim) == Receipt("s001", True)
    assert len(door.store.records()) == 1


async def test_a_commit_that_is_cancelled_gives_the_claim_back(door: Door) -> None:
    door.world.ledger.gate = threading.Event()
    claim = Once()
    delivery = asyncio.create_task(door.send("7", claim=claim))
    await until(lambda: claim.used)
    (commit,) = [task for task in asyncio.all_tasks() if task.get_name() == "signal"]
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    assert not claim.used
    door.world.ledger.gate.set()


async def test_a_ledger_that_cannot_be_read_takes_nothing(door: Door) -> None:
    door.store.failing = True
    with pytest.raises(Retryable, match="locked"):
        await door.send("7")
    door.store.failing = False
    assert not (await door.send("7")).is_duplicate


# Where the reads happen


async def test_reads_leave_the_event_loop_unless_told_otherwise(door: Door) -> None:
    await door.send("7")
    await door.send()
    assert threading.get_ident() not in door.store.threads


async def test_reads_go_the_way_they_are_given(door: Door) -> None:
    called: list[str] = []

    async def at_once(function: Callable[..., Any], *args: Any) -> Any:
        called.append(function.__name__)
        return function(*args)

    door.inbox = Inbox(door.world.flow, door.store, lambda: position_id(9), at_once)
    await door.send("7")
    await door.send()
    assert called == ["find_signal", "_stored_repeat"]
    assert door.store.threads == {threading.get_ident()}
