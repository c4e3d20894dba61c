"""What is traded by hand beside the guard: told for what it is, and handed over on request.

Through the real libraries, at the simulated venues' own accounts.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.processes import Exchange, Service
from tests.wire.chaos import on_the_wire

pytestmark = pytest.mark.timeout(180)

PRICES = {
    "bybit:spot:SOLUSDT": "150",
    "bybit:linear:SOLUSDT": "150",
    "binance:spot:XRPUSDT": "2.5",
    "binance:linear:XRPUSDT": "2.5",
}
LINEAR = ("bybit:linear:SOLUSDT", "binance:linear:XRPUSDT")


def place(name: str) -> dict[str, str]:
    return dict(zip(("venue", "market", "symbol"), name.split(":"), strict=True))


def hold(exchange: Exchange, factor: str = "1") -> None:
    for name, price in PRICES.items():
        exchange.hold(name, str((Decimal(price) * Decimal(factor)).normalize()))


def by_hand(exchange: Exchange, name: str, **fields: Any) -> None:
    exchange.post("account", action="trade", **place(name), **fields)


def adopt(service: Service, name: str, **fields: Any) -> dict[str, Any]:
    """Hand over what is there; it may take until the account is read again."""

    def taken() -> dict[str, Any] | None:
        answer = service.call("POST", "/positions/adopt", json=place(name) | fields)
        if answer.status_code in (409, 503):
            return None  # not shown by the account yet
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    found = service.until(taken, f"adoption of {name}")
    assert found is not None
    return found


def notices(service: Service, kind: str) -> int:
    query = f"SELECT count(*) FROM outbox WHERE kind = '{kind}'"
    return int(service.rows(service.ledger, query)[0][0])


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[tuple[Exchange, Service]]:
    with on_the_wire(tmp_path, MONITOR_INTERVAL="2") as (exchange, service):
        hold(exchange)
        yield exchange, service


def test_what_was_bought_by_hand_is_adopted_and_closed_on_both_venues_and_markets(
    wired: tuple[Exchange, Service],
) -> None:
    exchange, service = wired
    service.start()
    service.until_guarding()
    for name, price in PRICES.items():
        by_hand(exchange, name, side="buy", qty=str(300 / Decimal(price)))
    adopted = [adopt(service, name, stop_loss_percent="1") for name in PRICES]
    for position, price in zip(adopted, PRICES.values(), strict=True):
        assert (position["status"], position["guard"]) == ("open", "armed")
        entry = Decimal(position["entry_price"])
        assert abs(entry - Decimal(price)) / Decimal(price) < Decimal("0.01")
    hold(exchange, "0.98")
    service.until(
        lambda: {each["status"] for each in service.positions()} == {"closed"}, "four closes"
    )
    assert {each["exit_reason"] for each in service.positions()} == {"stop_loss"}
    for name in PRICES:
        again = service.call("POST", "/positions/adopt", json=place(name))
        assert again.status_code in (409, 503), again.text
    service.stop()


@pytest.mark.parametrize("name", LINEAR)
def test_a_hand_a_liquidation_and_an_adl_are_told_for_what_they_are(
    wired: tuple[Exchange, Service], name: str
) -> None:
    exchange, service = wired
    service.start()
    service.until_guarding()
    qty = 300 / Decimal(PRICES[name])
    answer = service.signal(id="one", action="buy", qty=str(qty), **place(name))
    assert answer.status_code == 202, answer.text
    service.until_status("open")
    service.until_guarding()
    by_hand(exchange, name, side="sell", qty=str(qty / 4))
    service.until(lambda: notices(service, "position.reduced") == 1, "the reduction")
    by_hand(exchange, name, side="sell", qty=str(qty / 4), kind="adl")
    service.until(lambda: notices(service, "position.adl") == 1, "the ADL")
    assert Decimal(service.positions()[0]["qty_open"]) == qty / 2
    exchange.post("account", action="liquidate", **place(name))
    closed = service.until_status("closed")
    assert closed["exit_reason"] == "liquidation"
    assert notices(service, "position.liquidation") == 1
    assert notices(service, "account.unexplained") == 0
    service.stop()


@pytest.mark.parametrize("name", LINEAR)
def test_in_hedge_mode_the_other_leg_bars_nothing_and_a_leg_is_adopted_by_its_name(
    wired: tuple[Exchange, Service], name: str
) -> None:
    exchange, service = wired
    exchange.post("account", action="hedge_mode", hedged=True, **place(name))
    qty = str(300 / Decimal(PRICES[name]))
    by_hand(exchange, name, side="sell", qty=qty, leg="short")
    service.start()
    service.until_guarding()
    answer = service.signal(id="one", action="buy", qty=qty, **place(name))
    assert answer.status_code == 202, answer.text
    ours = service.until_status("open")
    by_hand(exchange, name, side="buy", qty=qty, leg="short")  # the hand's own leg
    by_hand(exchange, name, side="sell", qty=qty, leg="long")  # and ours
    closed = service.until_status("closed")
    assert (closed["id"], closed["exit_reason"]) == (ours["id"], "external")
    by_hand(exchange, name, side="sell", qty=qty, leg="short")
    short = adopt(service, name, side="short", stop_loss_percent="1")
    hold(exchange, "1.02")

    def is_closed() -> bool:
        found = {each["id"]: each["exit_reason"] for each in service.positions("closed")}
        return found.get(short["id"]) == "stop_loss"

    service.until(is_closed, "the short's stop")
    service.stop()
