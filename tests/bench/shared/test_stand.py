"""What the bench of the book measures: every side on the same positions and prices."""

import asyncio
from typing import Any

import pytest

from bench.shared import peers
from bench.shared.prices import Prices
from bench.shared.stand import PEERS, Sizes, Stand

PRICES = Prices("three", [28100.0, 28104.5, 28099.1])
TINY = Sizes(
    positions=(1, 5, 20), few=1, many=5, most=20, ticks=50, checks=50, peer_checks=100, edits=5
)


@pytest.fixture
def stand() -> Stand:
    return Stand(TINY, PRICES)


def test_quiet_ticks_are_measured_at_every_size(stand: Stand) -> None:
    for quiet in (stand.ours(), stand.naive()):
        assert list(quiet) == [1, 5, 20]
        assert all(ns > 0 for ns in quiet.values())


def test_a_peer_gets_our_thresholds_and_prices(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    def run(program: str, args: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        seen.append((program, args))
        return {"ns": {str(size): [7.0] * args["rounds"] for size in args["sizes"]}}

    monkeypatch.setattr(peers, "run", run)
    assert stand.peer("numpy") == {1: 7.0, 5: 7.0, 20: 7.0}
    assert stand.run_peer("nautilus", (5,), rounds=2, limit_s=1.0) == {5: [7.0, 7.0]}
    held = stand.kinds["fixed"].held
    assert seen[0][1]["take_profits"] == [float(each.take_profit or 0) for each in held]
    assert seen[1][1]["stop_losses"] == [float(each.stop_loss or 0) for each in held[:5]]
    assert seen[0][1]["prices"] == PRICES.values
    assert [program for program, _ in seen] == [program for _, program in PEERS.values()]


@pytest.mark.parametrize("kind", ["fixed", "trailing"])
def test_rounds_edit_and_crash_books_of_their_own(stand: Stand, kind: str) -> None:
    for _ in range(2):
        edits, crash = stand.kinds[kind].edit_and_crash(PRICES.values[0])
        assert crash.positions == 20
        assert edits.amend_us > 0
        assert stand.kinds[kind].naive_crash() > 0


def test_absent_peers_are_no_side(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "installed", lambda _package: False)
    sides = stand.sides()
    assert not PEERS.keys() & sides.keys()
    assert {"ours", "naive", "loop"} <= sides.keys()
    assert asyncio.run(sides["loop"]())[0] > 0
