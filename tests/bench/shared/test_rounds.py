"""Rounds: in turn, warmed up, bounded."""

import asyncio
from itertools import pairwise

import pytest

from bench.shared import rounds
from bench.shared.report import BenchFailed
from bench.shared.rounds import interleaved


def test_sides_take_turns_and_the_first_round_is_forgotten() -> None:
    order: list[str] = []

    def side(name: str) -> rounds.Side[int]:
        async def measure() -> int:
            order.append(name)
            return len(order)

        return measure

    results = interleaved({"bare": side("bare"), "whole": side("whole")}, 5)
    assert len(order) == 12
    assert {name: len(found) for name, found in results.items()} == {"bare": 5, "whole": 5}
    assert min(results["bare"] + results["whole"]) == 3
    pairs = [tuple(order[at : at + 2]) for at in range(0, 12, 2)]
    assert all(set(pair) == {"bare", "whole"} for pair in pairs)
    assert all(one == other[::-1] for one, other in pairwise(pairs))


def test_a_side_that_hangs_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "ROUND_LIMIT_S", 0.05)

    async def hang() -> int:
        await asyncio.Event().wait()
        return 0

    with pytest.raises(BenchFailed, match=r"slow: no result within 0\.05 s"):
        interleaved({"slow": hang}, 1)
