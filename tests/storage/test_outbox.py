from engine.model.effects import SendNotice
from storage.outbox import Outbox, PendingNotice
from tests.storage.structs import NOON_NS


def test_a_message_waits_until_it_was_delivered(engine, ledger):
    ledger.commit([SendNotice("a", NOON_NS + n, {"n": n}) for n in range(3)])
    outbox = Outbox(engine)
    assert outbox.pending(2) == (
        PendingNotice(1, NOON_NS, "a", {"n": 0}),
        PendingNotice(2, NOON_NS + 1, "a", {"n": 1}),
    )
    outbox.mark_sent([1, 3], NOON_NS + 9)
    assert [notice.id for notice in outbox.pending()] == [2]


def test_marking_nothing_changes_nothing(engine, ledger):
    ledger.commit([SendNotice("a", NOON_NS, {})])
    Outbox(engine).mark_sent([], NOON_NS)
    assert len(Outbox(engine).pending()) == 1
