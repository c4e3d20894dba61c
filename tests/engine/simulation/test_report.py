"""Outcomes added up, and the report in the contract's shape."""

import hashlib
import json

import msgspec

from engine.simulation.catalogue import EDGE_NAMES, FAULT_KINDS
from engine.simulation.outcome import Broken, Outcome
from engine.simulation.report import MAX_FAILURES, Tally, report_lines, rerun_of

HASHES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(60)]


def outcome(seed: int, **facts: object) -> Outcome:
    return Outcome(seed, HASHES[seed], **facts)  # type: ignore[arg-type]


def test_counts_are_summed_over_seeds() -> None:
    tally = Tally(3)
    tally.add(outcome(3, checks={"a": 2}, struck={"ban": 1}, crashes=1, events=10))
    tally.add(
        outcome(
            4,
            checks={"a": 1, "b": 5},
            struck={"ban": 2},
            edges={"order.sent.unknown": 4},
            crash_points={"before commit": 1},
            events=5,
        )
    )
    report = tally.report(0.5)
    assert (report.seeds, report.first_seed, report.crashes, report.events) == (2, 3, 1, 15)
    assert report.seeds_per_second == 4.0
    assert report.faults["ban"] == 3
    assert report.edges["order.sent.unknown"] == 4
    assert (report.invariants["a"], report.invariants["b"]) == (3, 5)
    assert report.crash_points == {"before commit": 1}
    assert report.violations == 0


def test_what_never_happened_has_a_row_with_zero() -> None:
    report = Tally(0).report(0.0)
    assert set(FAULT_KINDS) <= report.faults.keys()
    assert set(EDGE_NAMES) <= report.edges.keys()
    assert set(report.faults.values()) == set(report.edges.values()) == {0}
    assert report.seeds_per_second == 0.0


def test_the_trace_hash_is_over_the_seeds_own_in_their_order() -> None:
    first, second = Tally(0), Tally(0)
    for seed in (0, 1):
        first.add(outcome(seed))
    for seed in (1, 0):
        second.add(outcome(seed))
    whole = b"".join(map(bytes.fromhex, HASHES[:2]))
    assert first.report(1).trace_hash == hashlib.sha256(whole).hexdigest()
    assert second.report(1).trace_hash != first.report(1).trace_hash


def test_failures_name_the_line_that_shows_them_again_and_are_bounded() -> None:
    tally = Tally(0)
    for seed in range(MAX_FAILURES + 5):
        tally.add(outcome(seed, violations=(Broken("no_oversell", f"sold {seed}"),)))
    report = tally.report(1)
    assert report.violations == MAX_FAILURES + 5
    assert len(report.failures) == MAX_FAILURES
    assert report.failures[7].rerun == "tickguard simulate --first 7 --seeds 1 --trace"


def test_many_violations_of_one_seed_are_bounded_too() -> None:
    tally = Tally(0)
    tally.add(outcome(0, violations=(Broken("a", "x"),) * (MAX_FAILURES + 1)))
    tally.add(outcome(1, violations=(Broken("a", "x"),)))
    assert len(tally.report(1).failures) == MAX_FAILURES


def test_the_json_has_the_names_of_the_contract() -> None:
    tally = Tally(0)
    tally.add(outcome(0, violations=(Broken("a", "x"),)))
    said = json.loads(msgspec.json.encode(tally.report(1).as_json()))
    assert set(said) >= {
        "seeds", "first_seed", "violations", "crashes", "faults", "edges", "invariants",
        "seeds_per_second", "trace_hash",
    }  # fmt: skip
    assert said["failures"][0]["invariant"] == "a"


def test_people_see_counts_failures_and_how_to_rerun_them() -> None:
    tally = Tally(5)
    tally.add(outcome(5, struck={"ban": 12}, violations=(Broken("a", "sold too much"),)))
    lines = report_lines(tally.report(1))
    assert lines[0].startswith("1 seeds from 5: 1 violations")
    assert any(line.split() == ["ban", "12"] for line in lines)
    assert lines[-2:] == [
        "FAILED seed 5, a: sold too much",
        "  tickguard simulate --first 5 --seeds 1 --trace",
    ]


def test_a_seed_that_a_defect_broke_is_rerun_with_the_defect() -> None:
    assert rerun_of(7) == "tickguard simulate --first 7 --seeds 1 --trace"
    assert rerun_of(7, "two_writers").endswith("--trace --sabotage two_writers")
