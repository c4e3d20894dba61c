"""Faults and crashes of lifetimes."""

from collections import Counter

from engine.model.instrument import Market
from engine.simulation.draw_faults import KINDS, PAIRS, Scope, draw_crashes
from tests.engine.simulation.drawn import SEEDS, plans

PROCESS_KINDS = {kind.name for kind in KINDS.values() if kind.scope is Scope.PROCESS}


def faults():
    return [fault for plan in plans() for fault in plan.faults]


def crashes():
    return [crash for plan in plans() for crash in plan.crashes]


def test_a_seed_has_three_to_ten_faults():
    counts = {len(plan.faults) for plan in plans()}
    assert min(counts) == 3
    assert max(counts) == 10


def test_every_kind_is_drawn_often():
    kinds = Counter(fault.kind for fault in faults())
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= SEEDS * 0.06


def test_a_fault_has_a_window_that_ends_when_everything_heals():
    for plan in plans():
        for fault in plan.faults:
            assert fault.at_ms > 0
            assert fault.for_ms > 0
            assert fault.times > 0
            assert fault.at_ms + fault.for_ms <= plan.heal_ms


def test_a_fault_names_what_it_is_about():
    for plan in plans():
        traded = {path.instrument.id for path in plan.paths}
        for fault in plan.faults:
            assert (fault.venue is None) == (fault.kind in PROCESS_KINDS)
            narrow = KINDS[fault.kind].scope in {Scope.INSTRUMENT, Scope.LINEAR}
            assert (fault.instrument is not None) == narrow
            assert fault.instrument is None or fault.instrument in traded
            assert fault.instrument is None or fault.instrument.venue == fault.venue


def test_only_linear_positions_are_liquidated_where_there_are_any():
    for plan in plans():
        markets = {path.instrument.id.market for path in plan.paths}
        liquidated = {f.instrument.market for f in plan.faults if f.kind == "liq"}
        assert liquidated <= {Market.LINEAR} or Market.LINEAR not in markets


def test_amounts_are_those_of_the_kind():
    for fault in faults():
        assert fault.amount in KINDS[fault.kind].amounts


def test_hidden_orders_are_seen_before_a_miss_is_final():
    """The venue shows an order before its clock is recvWindow + 5 s past the request."""
    assert max(KINDS["late_vis"].amounts) < 10_000
    assert max(KINDS["late_req"].amounts) < 5000


def test_some_faults_come_in_pairs_that_hurt():
    found = Counter()
    for plan in plans():
        for first, second in zip(plan.faults, plan.faults[1:], strict=False):
            pair = (first.kind, second.kind)
            close = abs(second.at_ms - first.at_ms) <= 1000
            found[pair] += close and pair in PAIRS
    assert all(found[pair] > 5 for pair in PAIRS), found


def test_many_faults_come_about_when_a_signal_does():
    near = 0
    for plan in plans():
        times = [at_ms for signal in plan.signals for at_ms in signal.deliveries_ms]
        near += sum(any(abs(f.at_ms - at_ms) <= 1000 for at_ms in times) for f in plan.faults)
    assert near > len(faults()) / 2


# Crashes


def test_more_than_half_of_the_seeds_crash_some_several_times():
    counts = Counter(len(plan.crashes) for plan in plans())
    assert set(counts) == {0, 1, 2, 3}
    assert SEEDS / 2 < SEEDS - counts[0] < SEEDS * 0.75


def test_processes_die_in_their_order_before_faults_end_and_come_up_by_then():
    for plan in plans():
        assert [crash.life for crash in plan.crashes] == list(range(len(plan.crashes)))
        times = [crash.by_ms for crash in plan.crashes]
        assert times == sorted(times)
        for crash in plan.crashes:
            assert crash.by_ms + crash.down_ms <= plan.heal_ms
            assert 100 <= crash.down_ms <= 40_000


def test_processes_die_before_and_after_effects_early_and_late():
    assert {crash.after for crash in crashes()} == {True, False}
    assert {crash.call for crash in crashes()} == set(range(1, 61))


def test_some_processes_die_while_they_recover():
    again = [crash for crash in crashes() if crash.life > 0]
    assert sum(crash.call <= 6 for crash in again) > len(again) / 3


def test_processes_are_down_briefly_and_long():
    downs = [crash.down_ms for crash in crashes()]
    assert sum(down < 1000 for down in downs) > len(downs) / 3
    assert max(downs) > 12_000


def test_leaving_out_a_fault_changes_no_crash_without_one():
    plan = next(plan for plan in plans() if plan.crashes)
    assert draw_crashes(plan.seed, plan.heal_ms, plan.faults) == plan.crashes
