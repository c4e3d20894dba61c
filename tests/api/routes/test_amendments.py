"""``PATCH /positions/{id}`` against the running service."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest

from engine.model.errors import Retryable
from engine.model.events import BotSwitched
from engine.model.exits import Disarmed, Percent
from storage.tables import Scope
from tests.api.service import BTC, BTC_SPOT, ETH, Service

LADDER = [{"percent": 5, "fraction": "0.5"}, {"percent": "10", "fraction": 0.25}]


async def patch(service: Service, position_id: str, key: str, **fields: Any) -> httpx.Response:
    return await service.call("PATCH", f"/positions/{position_id}", key, json=fields)


def lines(answer: httpx.Response) -> dict[str, list[str | None]]:
    """Return per rule its thresholds."""
    found: dict[str, list[str | None]] = {}
    for line in answer.json()["exits"]:
        found.setdefault(line["rule"], []).append(line["threshold"])
    return found


async def test_every_rule_can_be_set_on_an_open_position(service: Service) -> None:
    """Bought at 100; the price is 101 when the rules are changed."""
    position_id, key = await service.opened(), service.key()
    service.set_price(BTC, 101.0)
    entry = service.flow.positions()[0].entry_price
    assert entry is not None
    answer = await patch(
        service,
        position_id,
        key,
        take_profit="130",
        stop_loss="95",
        trailing_percent="2",
        trailing_activation="110",
        break_even="108",
        ladder=LADDER,
        max_hold_seconds=3600,
    )
    assert answer.status_code == 200, answer.text
    found = lines(answer)
    assert (found["take_profit"], found["stop_loss"]) == (["130"], ["95"])
    assert (found["trailing"], found["break_even"]) == (["110"], ["108"])
    for level, percent in zip(found["ladder"], (5, 10), strict=True):
        exact = entry * (100 + percent) / 100
        assert exact - Decimal("0.1") <= Decimal(str(level)) <= exact
    (deadline,) = found["time"]
    assert str(deadline).endswith("Z")
    states = {line["rule"]: line["state"] for line in answer.json()["exits"]}
    assert (states["trailing"], states["stop_loss"]) == ("waiting", "armed")
    shown = await service.call("GET", f"/positions/{position_id}", key)
    assert shown.json() == answer.json()
    stored = service.queries.position(position_id)
    assert stored is not None
    assert stored.exits == service.flow.positions()[0].exits
    (event,) = service.events("position.amended")
    assert event.actor == f"rest:{key[:11]}"


async def test_what_is_not_mentioned_stays_and_null_disarms(service: Service) -> None:
    position_id, key = (
        await service.opened(take_profit_percent=9, stop_loss_percent=8),
        service.key(),
    )
    first = await patch(service, position_id, key, stop_loss_percent=None)
    assert first.status_code == 200
    assert (list(lines(first)), first.json()["stop_loss"]) == (["take_profit"], None)
    second = await patch(service, position_id, key, trailing_percent="3")
    assert list(lines(second)) == ["take_profit", "trailing"]
    exits = service.flow.positions()[0].exits
    assert (exits.take_profit, exits.stop_loss) == (Percent(Decimal(9)), Disarmed())


async def test_the_rules_after_the_change_are_the_ones_that_close(service: Service) -> None:
    position_id, key = await service.opened(), service.key()
    assert (await patch(service, position_id, key, stop_loss="98")).status_code == 200
    service.set_price(BTC, 97.5)
    await service.until(lambda: service.queries.positions("closed").items)
    (closed,) = service.queries.positions("closed").items
    assert (closed.id, closed.exit_reason) == (position_id, "stop_loss")


async def test_the_same_amendment_twice_changes_nothing_more(service: Service) -> None:
    position_id, key = await service.opened(), service.key()
    answers = [await patch(service, position_id, key, stop_loss="98") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["exits"] == answers[1].json()["exits"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"stop_loss": "101"}, {"stop_loss"}),
        ({"take_profit": "99"}, {"take_profit"}),
        ({"take_profit": "99", "stop_loss": "101"}, {"take_profit", "stop_loss"}),
        ({"stop_loss_percent": 100}, {"stop_loss_percent"}),
        ({"trailing_activation_percent": 3}, {"trailing_activation_percent"}),
        (
            {"trailing_percent": 1, "trailing_activation_percent": 15},
            {"trailing_activation_percent"},
        ),
        ({"break_even_percent": 20}, {"break_even_percent"}),
        ({"break_even_after_rung": 1}, {"break_even_after_rung"}),
        ({"ladder": [{"percent": 5, "fraction": 1.5}]}, {"ladder"}),
        ({"ladder": [{"percent": 20, "fraction": 1}]}, {"ladder"}),
        ({"close_at": "2020-01-01T00:00:00Z"}, {"close_at"}),
        ({"confirm_ms": 60_001, "confirm_ticks": 10_001}, {"confirm_ms", "confirm_ticks"}),
        ({"trailing_percent": "wide", "stop_loss": "-1"}, {"trailing_percent", "stop_loss"}),
        ({"ladder": [{"percent": 5}]}, {"ladder"}),
        ({"qty": "1"}, {"qty"}),
        ({"action": "close"}, {"action"}),
        ({"secret": "x", "stop_los": "98"}, {"secret", "stop_los"}),
        ({"stop_loss": "98", "stop_loss_percent": 2}, {"stop_loss_percent"}),
        ({}, {"body"}),
        ({"trigger": None}, {"body"}),
    ],
)
async def test_rules_that_could_not_hold_are_refused_whole(
    service: Service, fields: dict[str, Any], named: set[str]
) -> None:
    position_id, key = await service.opened(), service.key()
    before = service.flow.positions()[0]
    answer = await patch(service, position_id, key, **fields)
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    assert {error["field"] for error in errors} == named
    assert all(error["remedy"] for error in errors)
    assert service.flow.positions()[0] == before
    assert service.events("position.amended") == []
    (event,) = service.events("request.refused")
    assert event.data["request"] == "PATCH /positions/{id}"


async def test_spot_has_no_mark_to_trigger_by(service: Service) -> None:
    position_id, key = await service.opened(BTC_SPOT), service.key()
    answer = await patch(service, position_id, key, trigger="mark")
    assert [error["field"] for error in answer.json()["errors"]] == ["trigger"]
    assert (await patch(service, position_id, key, trigger="book")).status_code == 200
    assert service.flow.positions()[0].trigger == "book"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 422, "body"),
        (b"[]", 400, "body"),
        (b"{", 400, "body"),
        (b'{"stop_loss":1,"stop_loss":2}', 400, "stop_loss"),
        (b'{"stop_loss":NaN}', 400, "stop_loss"),
        (b"x" * 20_000, 413, "body"),
    ],
)
async def test_what_cannot_be_read_changes_nothing(
    service: Service, body: bytes, status: int, field: str
) -> None:
    position_id = await service.opened()
    answer = await service.call("PATCH", f"/positions/{position_id}", service.key(), content=body)
    assert answer.status_code == status
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_only_a_key_that_may_trade_amends(service: Service) -> None:
    position_id = await service.opened()
    answer = await patch(service, position_id, service.key(Scope.READ), stop_loss="98")
    assert answer.status_code == 403
    answer = await service.call("PATCH", f"/positions/{position_id}", json={"stop_loss": "98"})
    assert answer.status_code == 401


async def test_an_unknown_position_is_a_404(service: Service) -> None:
    answer = await patch(service, "nothing", service.key(), stop_loss="98")
    assert answer.status_code == 404


async def test_a_position_that_is_closed_or_closing_is_a_409(service: Service) -> None:
    position_id, key = await service.opened(), service.key()
    service.prices[BTC] = 100.0
    for account in service.accounts:
        account.submit = lambda _: None  # type: ignore[method-assign]
    await service.call("POST", f"/positions/{position_id}/close", key)
    answer = await patch(service, position_id, key, stop_loss="98")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "Nothing was changed: the position is closing.",
    )


async def test_a_position_in_the_ledger_only_is_a_409(service: Service) -> None:
    position_id, key = await service.opened(ETH), service.key()
    await service.call("POST", f"/positions/{position_id}/close", key)
    await service.until(lambda: service.queries.positions("closed").items)
    answer = await patch(service, position_id, key, stop_loss="9")
    assert answer.status_code == 409
    assert [error["field"] for error in answer.json()["errors"]] == ["id"]


async def test_a_key_of_idempotency_is_bound_to_its_body(service: Service) -> None:
    position_id, key = await service.opened(), service.key()
    options: dict[str, Any] = {"headers": {"Idempotency-Key": "k1"}}
    path = f"/positions/{position_id}"
    bodies = ({"stop_loss": "98"}, {"stop_loss": "98"}, {"stop_loss": "97"})
    answers = [await service.call("PATCH", path, key, json=body, **options) for body in bodies]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert len(service.events("position.amended")) == 1


async def test_an_amendment_holds_while_storage_refuses(service: Service) -> None:
    position_id, key = await service.opened(), service.key()

    def refuse() -> None:
        raise Retryable("disk full")

    service.journal.gate = refuse
    service.flow.handle(BotSwitched(False, "test", service.clock.now_ns()))
    await service.until(service.flow.problems)
    answer = await patch(service, position_id, key, stop_loss="98")
    assert (answer.status_code, answer.json()["stop_loss"]) == (202, "98")
    service.set_price(BTC, 97.5)
    assert len(service.orders) == 2


async def test_an_amendment_is_answered_in_time_while_storage_stalls(service: Service) -> None:
    position_id, key = await service.opened(), service.key()
    released, loop = asyncio.Event(), asyncio.get_running_loop()
    service.journal.gate = lambda: asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
    try:
        async with asyncio.timeout(10):
            answer = await patch(service, position_id, key, stop_loss="98")
        assert (answer.status_code, answer.json()["stop_loss"]) == (202, "98")
    finally:
        released.set()
    await service.until(lambda: service.events("position.amended"))
