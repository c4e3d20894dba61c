from decimal import Decimal

from api.demo import plan
from api.demo.parts import PARTS, WIRE


def test_ids_are_unique_and_name_their_strategy() -> None:
    keys = [key for part in PARTS for key in part.planned]
    assert len(set(keys)) == sum(len(part.signals) + 1 for part in PARTS)
    for part in PARTS:
        assert all(signal.body["strategy"] == signal.key for signal in part.signals)
        assert {part.by_hand, part.by_signal.body["strategy"]} <= part.wide
        assert part.wide <= part.planned.keys()


def test_over_the_wire_both_venues_and_markets_are_closed_by_both_limits() -> None:
    left = {WIRE.by_hand, WIRE.by_signal.body["strategy"]}
    moves = {move.instrument: move.percent > 0 for move in plan.MOVES}
    gains = set()
    for signal in WIRE.signals:
        body = signal.body
        if signal.key not in left:
            venue, symbol = body["symbol"].lower().split(":")
            market = body.get("market", "linear")
            name = f"{venue}:{market}:{symbol.removesuffix('.p').upper()}"
            gains.add((f"{venue}:{market}", moves[name] == (body["action"] == "buy")))
    assert {name for name, _ in gains} == {
        f"{venue}:{market}" for venue in ("bybit", "binance") for market in ("spot", "linear")
    }
    assert {gain for _, gain in gains} == {True, False}


def test_some_twenty_signals_of_both_venues_and_markets_with_every_outcome() -> None:
    assert 20 <= len(plan.SIGNALS) <= 30
    assert {signal.outcome for signal in plan.SIGNALS} == {"opened", "rejected", "ignored"}
    assert plan.BY_SIGNAL.outcome == "closed"
    named = {signal.body["symbol"].split(":")[0] for signal in plan.NARROW + plan.WIDE}
    assert named == {"BYBIT", "BINANCE"}


def test_each_move_goes_beyond_the_default_limits_in_steps_that_are_believed() -> None:
    starts = dict(plan.INSTRUMENTS)
    for move in plan.MOVES:
        assert move.instrument in starts
        assert 15 < abs(move.percent) < 20
        assert abs(move.percent) / plan.MOVE_STEPS < Decimal(20)
    both = {(move.instrument.rsplit(":", 1)[0], move.percent > 0) for move in plan.MOVES}
    assert len(both) == 4
