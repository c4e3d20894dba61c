"""``TRADING_MODE=testnet`` at the simulator: the real libraries, both venues, both markets.

The service gets the addresses and keys that ``tickguard simulator --json`` prints, a webhook secret
and an API key, and nothing else.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.processes import Exchange, Service
from tests.wire.books import differences
from tests.wire.chaos import on_the_wire

PRICES = {
    "bybit:spot:SOLUSDT": "150",
    "bybit:linear:SOLUSDT": "150",
    "binance:spot:XRPUSDT": "2.5",
    "binance:linear:XRPUSDT": "2.5",
}


def hold(exchange: Exchange, factor: str = "1") -> None:
    for name, price in PRICES.items():
        exchange.hold(name, str((Decimal(price) * Decimal(factor)).normalize()))


def enter(service: Service, name: str, **fields: Any) -> None:
    venue, market, symbol = name.split(":")
    body = {"action": "buy", "venue": venue, "market": market, "symbol": symbol}
    answer = service.signal(id=f"enter-{name}", **(body | fields))
    assert answer.status_code == 202, answer.text


def named(position: dict[str, Any]) -> str:
    return f"{position['venue']}:{position['market']}:{position['symbol']}"


def all_are(service: Service, status: str) -> bool:
    positions = service.positions()
    states = {named(each): each["status"] for each in positions}
    assert "rejected" not in states.values(), positions
    return states == dict.fromkeys(PRICES, status)


@pytest.mark.timeout(180)
def test_positions_open_and_close_on_every_market_as_the_venues_booked_them(
    tmp_path: Path,
) -> None:
    with on_the_wire(tmp_path) as (exchange, service):
        hold(exchange)
        service.start()
        assert service.facts["mode"] == "testnet"
        service.until_guarding()
        for name in PRICES:
            enter(service, name, take_profit_percent="1.5")
        service.until(lambda: all_are(service, "open"), "every position open")
        hold(exchange, "1.02")  # the guard closes them by itself
        service.until(lambda: all_are(service, "closed"), "every position closed")
        assert {each["exit_reason"] for each in service.positions()} == {"take_profit"}
        assert all(each["reaction_ms"] is not None for each in service.positions())
        accounts = exchange.accounts()
        service.stop()
        assert differences(service.ledger, accounts) == []
        assert sum(len(account["executions"]) for account in accounts) >= 2 * len(PRICES)


@pytest.mark.timeout(180)
def test_a_stop_while_positions_are_open_and_a_start_after_it_guard_them_on(
    tmp_path: Path,
) -> None:
    with on_the_wire(tmp_path) as (exchange, service):
        hold(exchange)
        service.start()
        service.until_guarding()
        for name in PRICES:
            enter(service, name, stop_loss_percent="1.5")
        service.until(lambda: all_are(service, "open"), "every position open")
        service.stop()
        hold(exchange, "0.98")
        service.start()
        service.until(lambda: all_are(service, "closed"), "every position closed")
        accounts = exchange.accounts()
        service.stop()
        assert differences(service.ledger, accounts) == []
