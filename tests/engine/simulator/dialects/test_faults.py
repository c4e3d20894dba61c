from engine.simulator.dialects.faults import Fault, FaultKind, Faults
from tests.engine.simulator.rig import FakeClock

AT = ("c1", "bybit", "linear", "BTCUSDT")


def test_faults_end_with_their_time() -> None:
    clock = FakeClock()
    faults = Faults(clock)
    faults.add(Fault(FaultKind.MUTE, until_ns=clock.monotonic_ns() + 1_000_000))
    assert faults.strikes(FaultKind.MUTE, *AT)
    clock.advance_ms(1)
    assert not faults.strikes(FaultKind.MUTE, *AT)
    assert not faults


def test_faults_end_with_their_count() -> None:
    faults = Faults(FakeClock())
    faults.add(Fault(FaultKind.DUPLICATE, left=2))
    assert [faults.strikes(FaultKind.DUPLICATE, *AT) for _ in range(3)] == [True, True, False]


def test_faults_meet_only_what_they_are_aimed_at() -> None:
    fault = Fault(FaultKind.MUTE, "bybit", "linear", "BTCUSDT", frozenset({"c1"}))
    assert fault.meets(*AT)
    assert fault.meets("c1", "bybit", "linear", None)
    assert not fault.meets("c2", "bybit", "linear", "BTCUSDT")
    assert not fault.meets("c1", "binance", "linear", "BTCUSDT")
    assert not fault.meets("c1", "bybit", "spot", "BTCUSDT")
    assert not fault.meets("c1", "bybit", "linear", "ETHUSDT")


def test_kinds_do_not_strike_for_each_other_and_are_cleared() -> None:
    faults = Faults(FakeClock())
    faults.add(Fault(FaultKind.MUTE))
    assert not faults.strikes(FaultKind.REORDER, *AT)
    faults.clear()
    assert not faults.strikes(FaultKind.MUTE, *AT)
