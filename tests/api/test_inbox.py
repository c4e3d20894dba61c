import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.model.errors import Retryable
from engine.model.events import BotSwitched
from tests.api.service import BTC, ETH, SECRET, Service, running


async def deliver(service: Service, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    """Send bodies at the same time."""
    async with service.client() as client:
        sent = [client.post("/webhook", json={"secret": SECRET} | body) for body in bodies]
        return await asyncio.gather(*sent)


def buy(**fields: Any) -> dict[str, Any]:
    return {"action": "buy", "symbol": "BTCUSDT.P"} | fields


@pytest.mark.parametrize("fields", [{"id": "one"}, {}])
async def test_fifty_deliveries_at_once_are_one_signal_and_one_order(
    service: Service, fields: dict[str, Any]
) -> None:
    answers = await deliver(service, [buy(**fields)] * 50)
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 49}
    assert len({answer.json()["signal_id"] for answer in answers}) == 1
    assert len(service.queries.signals().items) == 1
    assert len(service.events("signal.received")) == 1
    await service.until(lambda: service.orders)
    assert len(service.orders) == 1


async def test_fifty_different_signals_at_once_are_fifty(service: Service) -> None:
    answers = await deliver(service, [buy(id=str(n), symbol="ETHUSDT.P") for n in range(50)])
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["signal_id"] for answer in answers}) == 50
    times = [record.signal.received_at_ns for record in service.queries.signals().items]
    assert len(set(times)) == 50


async def test_a_known_id_with_the_same_body_is_answered_with_the_first_signal(
    service: Service,
) -> None:
    first = await service.signal(id="7")
    assert first.status_code == 202
    service.clock.advance(86_400)
    again = await service.signal(id="7")
    assert again.status_code == 200
    assert again.json() == {"status": "duplicate", "signal_id": first.json()["signal_id"]}


async def test_a_known_id_is_known_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        first = await service.signal(id="7", action="close")
    async with running(tmp_path) as service:
        again = await service.signal(id="7", action="close")
        assert again.json() == {"status": "duplicate", "signal_id": first.json()["signal_id"]}
        assert (await service.signal(id="7")).status_code == 409


async def test_a_known_id_with_another_body_is_a_conflict(service: Service) -> None:
    assert (await service.signal(id="7")).status_code == 202
    answer = await service.signal(id="7", action="sell")
    assert answer.status_code == 409
    assert [error["field"] for error in answer.json()["errors"]] == ["id"]
    assert service.events("signal.refused")[-1].data["status"] == 409
    assert len(service.queries.signals().items) == 1


async def test_a_conflict_is_seen_among_deliveries_at_once(service: Service) -> None:
    bodies = [buy(id="7"), buy(id="7", symbol="ETHUSDT.P")] * 10
    answers = await deliver(service, bodies)
    assert Counter(answer.status_code for answer in answers) == {202: 1, 200: 9, 409: 10}


async def test_whitespace_and_the_secret_do_not_make_another_body(service: Service) -> None:
    spaced = json.dumps(buy(id="7", secret=SECRET), indent=2)
    assert (await service.post(spaced)).status_code == 202
    without = json.dumps(buy(id="7"))
    assert (await service.post(without, f"/webhook/{SECRET}")).status_code == 200


async def test_without_an_id_the_same_body_is_a_duplicate_for_a_minute(service: Service) -> None:
    first = await service.signal()
    service.clock.advance(59)
    again = await service.signal()
    assert (again.status_code, again.json()["signal_id"]) == (200, first.json()["signal_id"])
    service.clock.advance(2)
    assert (await service.signal()).status_code == 202


async def test_another_signal_in_between_makes_the_same_body_new(service: Service) -> None:
    await service.opened()
    assert (await service.signal(action="close")).status_code == 202
    await service.until(lambda: not service.flow.positions())
    assert (await service.signal(venue="bybit")).status_code == 202
    assert (await service.signal(action="close")).status_code == 202


async def test_a_signal_on_another_instrument_in_between_does_not(service: Service) -> None:
    assert (await service.signal()).status_code == 202
    assert (await service.signal(symbol="ETHUSDT.P")).status_code == 202
    assert (await service.signal()).status_code == 200


async def test_the_same_rules_hold_among_deliveries_at_once(service: Service) -> None:
    bodies = [buy(), buy(), buy(action="close"), buy(), buy()]
    answers = await deliver(service, bodies)
    assert [answer.status_code for answer in answers] == [202, 200, 202, 202, 200]
    ids = [answer.json()["signal_id"] for answer in answers]
    assert ids[0] == ids[1] != ids[3] == ids[4]


async def test_signals_are_handled_in_the_order_they_came(service: Service) -> None:
    bodies = [buy(id="a"), buy(id="b", action="close")] + [
        buy(id=str(n), symbol="ETHUSDT.P", action="close") for n in range(10)
    ]
    await deliver(service, bodies)
    received = [event.data["instrument"] for event in service.events("signal.received")]
    assert received == [str(BTC), str(BTC)] + [str(ETH)] * 10
    actions = [event.data["action"] for event in service.events("signal.received")]
    assert actions[:2] == ["buy", "close"]


async def test_what_storage_did_not_take_may_come_again(service: Service) -> None:
    def refuse() -> None:
        raise Retryable("disk full")

    service.journal.gate = refuse
    service.flow.handle(BotSwitched(False, "test", service.clock.now_ns()))
    await service.until(service.flow.problems)
    answers = await deliver(service, [buy(id="7")] * 3)
    assert {answer.status_code for answer in answers} == {503}
    service.journal.gate = lambda: None
    await service.until(lambda: not service.flow.problems())
    assert (await service.signal(id="7")).status_code == 202
