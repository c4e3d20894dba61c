"""Prices of the book's benches: recorded ones without what tick checks refuse, else seeded ones."""

from pathlib import Path

import pytest

from bench.shared.prices import SEEDED, TICK, find_recordings, load
from tests.requirements import ROOT


def test_recorded_trades_are_those_of_the_order_book(recordings: Path) -> None:
    prices = load(recordings)
    assert prices.source.startswith(f"{len(prices.values)} recorded trades of binance:linear")
    assert len(prices.values) > 10_000
    # An insurance fund's trade at 28,722.50 is among them on the wire.
    assert max(prices.values) < 1.01 * min(prices.values)


def test_without_recordings_prices_are_seeded_and_the_same_every_time() -> None:
    prices = load(None)
    assert prices.source == f"{SEEDED} seeded prices"
    assert prices == load(None)
    assert len(set(prices.values)) > 100
    assert all(round(price / float(TICK), 6) % 1 == 0 for price in prices.values)


def test_they_begin_again_after_the_last_one() -> None:
    prices = load(None)
    longer = prices.cycled(SEEDED + 2)
    assert longer == [*prices.values, *prices.values[:2]]


def test_the_directory_is_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TICKGUARD_RECORDED", str(tmp_path))
    assert find_recordings() == tmp_path
    monkeypatch.setenv("TICKGUARD_RECORDED", str(tmp_path / "gone"))
    assert find_recordings() is None
    monkeypatch.setenv("TICKGUARD_RECORDED", "")
    found = find_recordings()
    assert found is None or found == ROOT / "../shared/recorded"
