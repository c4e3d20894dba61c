"""Venues that take no requests of ours until the owner acts; wallets that a venue keeps apart."""

from decimal import Decimal

from engine.model.events import Balance, BalancesReported, TradingResumed, TradingStopped
from engine.model.instrument import Market
from engine.model.signal import Outcome
from tests.engine.core.rig import BTC_SPOT, Rig

D = Decimal


def test_entries_wait_at_a_venue_that_takes_nothing_of_ours() -> None:
    rig = Rig()
    rig.handle(TradingStopped("bybit", "renew the key", rig.now))
    rig.trade(100.0)
    record = rig.outcome(rig.signal("buy"))
    assert record.outcome is Outcome.REJECTED
    assert record.reason == "venue_stopped: bybit takes no orders of ours; renew the key"


def test_the_owner_is_told_once_and_when_it_is_over() -> None:
    rig = Rig()
    for _ in range(2):
        rig.handle(TradingStopped("bybit", "renew the key", rig.now))
    for _ in range(2):
        rig.handle(TradingResumed("bybit", rig.now))
    assert rig.notices() == ["venue.stopped", "venue.resumed"]
    rig.open()


def of_market(market: Market, free: str) -> Balance:
    return Balance("bybit", "USDT", D(free), D(free), D(0), market)


def test_an_entry_is_paid_from_the_wallet_of_its_market() -> None:
    rig = Rig()
    of_both = of_market(Market.LINEAR, "50"), of_market(Market.SPOT, "150")
    rig.handle(BalancesReported(of_both, rig.now))
    of_linear, of_spot = rig.signal("buy"), rig.signal("buy", BTC_SPOT)
    rig.trade(100.0)
    rig.trade(100.0, BTC_SPOT)
    assert rig.outcome(of_linear).outcome is Outcome.REJECTED
    assert rig.outcome(of_spot).outcome is Outcome.PENDING
    second = rig.outcome(rig.signal("buy", BTC_SPOT, strategy="other"))
    assert second.reason == "insufficient_balance: needs 100 USDT, 50 is free on bybit"
