from decimal import Decimal

from api.demo import plan


def test_ids_are_unique_and_name_their_strategy() -> None:
    keys = [signal.key for signal in (*plan.SIGNALS, plan.BY_SIGNAL)]
    assert len(set(keys)) == len(keys)
    assert all(signal.body["strategy"] == signal.key for signal in plan.SIGNALS)
    by_key = {signal.key: signal for signal in plan.WIDE}
    assert {plan.BY_HAND, plan.BY_SIGNAL.body["strategy"]} <= by_key.keys()


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
