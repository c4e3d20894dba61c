"""What a holder knows of its lease by its own clock."""

import pytest

from engine.lease import LEASE_NS, HeldLease, fenced_in, take
from engine.model.errors import Fenced, Held
from engine.ports import Lease
from tests.engine.core.rig import SECOND
from tests.engine.lease_rig import SETTLE_NS, MemoryLease, TwoClocks

LEASE_S = LEASE_NS // SECOND


def held() -> tuple[HeldLease, MemoryLease, TwoClocks]:
    clock, lease = TwoClocks(), MemoryLease()
    return take(lease, "us", clock), lease, clock


def test_a_lease_is_held_until_it_is_over() -> None:
    ours, _, clock = held()
    assert (ours.epoch, ours.lease_ns, ours.is_held()) == (1, LEASE_NS, True)
    clock.pass_s(LEASE_S)
    clock.passed_ns -= 1
    assert ours.is_held()
    clock.passed_ns += 1
    assert not ours.is_held()
    assert not ours.is_lost()


def test_it_counts_from_the_moment_at_which_it_was_asked_for() -> None:
    clock = TwoClocks()

    class Slow(MemoryLease):
        def acquire(self, holder: str, at_ns: int, lease_ns: int):  # type: ignore[no-untyped-def]
            clock.pass_s(LEASE_S)
            return super().acquire(holder, at_ns, lease_ns)

    port: Lease = Slow()
    assert not take(port, "us", clock).is_held()


def test_a_renewal_counts_from_its_beginning_and_an_older_one_takes_nothing_back() -> None:
    ours, _, clock = held()
    begun_ns = clock.monotonic_ns()
    clock.pass_s(10)
    ours.note_renewed(clock.monotonic_ns())
    ours.note_renewed(begun_ns)
    clock.pass_s(LEASE_S - 1)
    assert ours.is_held()
    clock.pass_s(1)
    assert not ours.is_held()


@pytest.mark.parametrize("hours", [-6, 6])
def test_a_utc_that_jumps_ends_no_lease_and_prolongs_none(hours: int) -> None:
    ours, _, clock = held()
    clock.set_utc_by_s(hours * 3600)
    assert ours.is_held()
    assert not ours.is_due()
    clock.pass_s(LEASE_S)
    assert not ours.is_held()


def test_it_is_due_after_a_third_and_tried_again_each_second_while_it_fails() -> None:
    ours, _, clock = held()
    clock.pass_s(4.9)
    assert not ours.is_due()
    clock.pass_s(0.1)
    assert ours.is_due()
    ours.note_tried(clock.monotonic_ns())
    clock.pass_s(0.9)
    assert not ours.is_due()
    clock.pass_s(0.1)
    assert ours.is_due()
    ours.note_renewed(clock.monotonic_ns())
    assert not ours.is_due()


def test_a_lost_lease_is_not_held_again() -> None:
    ours, _, clock = held()
    ours.note_lost()
    ours.note_renewed(clock.monotonic_ns())
    assert ours.is_lost()
    assert not ours.is_held()


def test_a_taker_waits_the_whole_time_whatever_utc_says() -> None:
    clock, lease = TwoClocks(), MemoryLease()
    take(lease, "they", clock)
    clock.set_utc_by_s(6 * 3600)
    ours = take(lease, "us", clock)
    assert ours.is_waiting()
    assert not ours.is_held()
    clock.pass_s((LEASE_NS + SETTLE_NS) / SECOND)
    ours.note_renewed(clock.monotonic_ns())
    assert not ours.is_waiting()
    assert ours.is_held()


def test_who_holds_a_lease_already_does_not_wait() -> None:
    clock, lease = TwoClocks(), MemoryLease()
    take(lease, "us", clock)
    again = take(lease, "us", clock)
    assert (again.epoch, again.is_waiting(), again.is_held()) == (2, False, True)


def test_anothers_lease_is_refused() -> None:
    clock, lease = TwoClocks(), MemoryLease()
    take(lease, "they", clock)
    with pytest.raises(Held, match="they"):
        take(lease, "us", clock)


def test_a_lease_is_renewed_and_given_back_under_its_epoch() -> None:
    ours, lease, clock = held()
    clock.set_utc_by_s(5)
    ours.renew()
    assert lease.renewals == [clock.utc_ns]
    take(lease, "us", clock)
    with pytest.raises(Fenced):
        ours.renew()
    ours.release()
    assert lease.holder == "us"


def test_the_loss_is_found_however_deep_it_lies_in_a_group() -> None:
    fenced = Fenced("gone")
    inner = ExceptionGroup("inner", [ValueError(), fenced])
    assert fenced_in(ExceptionGroup("outer", [KeyError(), inner])) is fenced
    assert fenced_in(ExceptionGroup("outer", [KeyError()])) is None


def test_where_others_are_locked_out_the_lease_lasts_as_long_as_its_holder() -> None:
    clock = TwoClocks()
    ours = take(MemoryLease(), "us", clock, expires=False)
    clock.pass_s(100 * LEASE_S)
    assert ours.is_held()
    ours.note_lost()
    assert not ours.is_held()
