import pytest
from msgspec.structs import replace

from engine.model.events import SignalReceived
from engine.model.signal import Action, Signal
from engine.simulation.history import Struck, Told
from engine.simulation.plan import EPOCH_NS, Fault
from tests.engine.simulation.checks.cases import BTC, MS, POSITION, SIGNAL, Lifetime, closed

SECOND = 1000 * MS


def closed_before(close_sent_ns: int, entry_sent_ns: int | None) -> Lifetime:
    """A lifetime in which a process took a close before the entry."""
    lifetime = closed()
    close = Signal("c" * 26, EPOCH_NS, "webhook", Action.CLOSE, BTC, sent_at_ns=close_sent_ns)
    entry = replace(SIGNAL, sent_at_ns=entry_sent_ns)
    told = [SignalReceived(close, "b" * 26, EPOCH_NS), SignalReceived(entry, POSITION, EPOCH_NS)]
    lifetime.history.told[1:2] = [Told(at * MS, 0, event, True) for at, event in enumerate(told, 9)]
    return lifetime


@pytest.mark.parametrize(
    ("close_sent_ns", "entry_sent_ns", "found"),
    [
        (EPOCH_NS, EPOCH_NS - 1, True),
        (EPOCH_NS, EPOCH_NS, False),
        (EPOCH_NS, None, False),
    ],
)
def test_an_entry_sent_before_a_close_that_was_known_opens_nothing(
    close_sent_ns: int, entry_sent_ns: int | None, found: bool
):
    lifetime = closed_before(close_sent_ns, entry_sent_ns)
    assert ("superseded_opens_nothing" in lifetime.names()) is found


def test_a_close_that_another_process_took_is_not_known():
    lifetime = closed_before(EPOCH_NS, EPOCH_NS - 1)
    lifetime.history.told[1] = lifetime.history.told[1]._replace(life=5)
    assert "superseded_opens_nothing" not in lifetime.names()


@pytest.mark.parametrize(("age_ms", "found"), [(59_970, False), (59_971, True)])
def test_an_entry_older_than_signals_may_be_is_found(age_ms: int, found: bool):
    lifetime = closed()  # the entry was sent at 30 ms
    signal = replace(SIGNAL, sent_at_ns=EPOCH_NS - age_ms * MS)
    lifetime.signals[0] = replace(lifetime.signals[0], signal=signal)
    assert ("entry_is_fresh" in lifetime.names()) is found


def test_ages_are_not_judged_where_utc_was_wrong():
    lifetime = closed()
    signal = replace(SIGNAL, sent_at_ns=EPOCH_NS - 90 * SECOND)
    lifetime.signals[0] = replace(lifetime.signals[0], signal=signal)
    lifetime.history.struck.append(Struck(0, Fault("jump", 0, 1)))
    assert "entry_is_fresh" not in lifetime.names()
