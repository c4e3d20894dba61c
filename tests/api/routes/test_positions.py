import asyncio
import re
from decimal import Decimal

import pytest

from engine.model.errors import Retryable
from engine.model.events import BotSwitched
from engine.model.instrument import InstrumentId
from storage.tables import Scope
from tests.api.service import BINANCE_BTC, BTC, BTC_SPOT, ETH, Service

FIELDS = (
    "id venue market symbol side status guard qty qty_open entry_price current_price take_profit"
    " stop_loss exits entry_time exit_price exit_time exit_reason realized_pnl unrealized_pnl fees"
    " funding net_pnl strategy reaction_ms backstop"
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def test_an_open_position_has_the_contracts_shape_and_the_price_of_now(
    service: Service,
) -> None:
    position_id, key = await service.opened(strategy="trend"), service.key(Scope.READ)
    service.set_price(BTC, 101.5)
    answer = await service.call("GET", f"/positions/{position_id}", key)
    found = answer.json()
    assert answer.status_code == 200
    assert " ".join(found) == FIELDS
    assert found["id"] == position_id
    assert (found["venue"], found["market"], found["symbol"]) == ("bybit", "linear", "BTCUSDT")
    assert (found["side"], found["status"], found["guard"]) == ("long", "open", "armed")
    assert found["current_price"] == "101.5"
    assert found["strategy"] == "trend"
    entry, qty = Decimal(found["entry_price"]), Decimal(found["qty_open"])
    assert Decimal(found["unrealized_pnl"]) == qty * (Decimal("101.5") - entry)
    assert [line["rule"] for line in found["exits"]] == ["take_profit", "stop_loss"]
    for line in found["exits"]:
        threshold = Decimal(line["threshold"])
        assert Decimal(line["distance"]) == abs(threshold - Decimal("101.5"))
    assert TIME.fullmatch(found["entry_time"])
    assert [found[name] for name in ("exit_price", "exit_time", "exit_reason")] == [None] * 3
    assert (found["realized_pnl"], found["funding"]) == ("0", "0")


async def test_lists_are_pages_of_the_newest_first(service: Service) -> None:
    opened = [await service.opened(name) for name in (BTC, ETH, BINANCE_BTC)]
    key = service.key()
    whole = (await service.call("GET", "/positions", key)).json()
    assert [item["id"] for item in whole["items"]] == opened[::-1]
    assert whole["next_cursor"] is None
    for status in ("active", "open", "all"):
        first = (await service.call("GET", f"/positions?status={status}&limit=2", key)).json()
        assert [item["id"] for item in first["items"]] == opened[:0:-1]
        query = f"status={status}&limit=2&cursor={first['next_cursor']}"
        rest = (await service.call("GET", f"/positions?{query}", key)).json()
        assert [item["id"] for item in rest["items"]] == opened[:1]
        assert rest["next_cursor"] is None
    assert (await service.call("GET", "/positions?status=stuck", key)).json()["items"] == []


async def test_closed_positions_come_from_the_ledger(service: Service) -> None:
    position_id, key = await service.opened(), service.key()
    await service.signal(action="close")
    await service.until(lambda: not service.flow.positions())
    await service.until(lambda: service.queries.positions("closed").items)
    (found,) = (await service.call("GET", "/positions?status=closed", key)).json()["items"]
    assert (found["id"], found["exit_reason"]) == (position_id, "signal")
    assert found["unrealized_pnl"] == "0"
    assert (await service.call("GET", "/positions", key)).json()["items"] == []
    one = (await service.call("GET", f"/positions/{position_id}", key)).json()
    assert one == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=broken", "status"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=-1", "limit"),
        ("cursor=%21", "cursor"),
        ("cursor=abc", "cursor"),
        ("status=all&cursor=abc", "cursor"),
        ("limit=1&limit=2", "limit"),
        ("stat=open", "stat"),
    ],
)
async def test_wrong_queries_name_their_field(service: Service, query: str, field: str) -> None:
    answer = await service.call("GET", f"/positions?{query}", service.key())
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_an_unknown_position_is_a_404(service: Service) -> None:
    key = service.key()
    for method, path in (("GET", "/positions/nothing"), ("POST", "/positions/nothing/close")):
        answer = await service.call(method, path, key)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert [event.data["request"] for event in service.events("request.refused")] == [
        "POST /positions/{id}/close"
    ]


async def test_a_close_is_set_going_once(service: Service) -> None:
    position_id, key = await service.opened(), service.key()
    path = f"/positions/{position_id}/close"
    answers = await asyncio.gather(*(service.call("POST", path, key) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
    assert {answer.json()["id"] for answer in answers} == {position_id}
    await service.until(lambda: service.queries.positions("closed").items)
    assert len(service.orders) == 2
    again = await service.call("POST", path, key)
    assert (again.status_code, again.json()["status"]) == (200, "closed")
    (closed,) = service.queries.positions("closed").items
    assert closed.exit_reason == "manual"
    assert service.orders[1].actor == f"rest:{key[:11]}"


async def test_half_can_be_closed(service: Service) -> None:
    position_id, key = await service.opened(BTC_SPOT, quote_qty="200"), service.key()
    held = service.flow.positions()[0].qty_open
    answer = await service.call(
        "POST", f"/positions/{position_id}/close", key, json={"fraction": "0.5"}
    )
    assert answer.status_code == 202
    await service.until(lambda: service.flow.positions()[0].exit_qty)
    position = service.flow.positions()[0]
    assert position.status == "open"
    assert abs(position.qty_open - held / 2) <= Decimal("0.001")


@pytest.mark.parametrize(
    ("name", "fields", "fraction", "least"),
    [
        (BTC, {"qty": "0.1"}, "0.009", "0.01"),
        (BTC, {"qty": "0.1"}, "0.0001", "0.01"),
        (BTC_SPOT, {"quote_qty": "100"}, "0.01", "0.05"),
    ],
)
async def test_a_part_too_small_is_a_409_that_names_the_smallest(
    service: Service, name: InstrumentId, fields: dict[str, str], fraction: str, least: str
) -> None:
    position_id, key = await service.opened(name, **fields), service.key()
    path = f"/positions/{position_id}/close"
    answer = await service.call("POST", path, key, json={"fraction": fraction})
    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert error["field"] == "fraction"
    given = error["remedy"].split('"')[1]
    assert abs(Decimal(given) - Decimal(least)) < Decimal("0.002")
    assert len(service.orders) == 1
    again = await service.call("POST", path, key, json={"fraction": given})
    assert again.status_code == 202
    assert len(service.orders) == 2


async def test_what_cannot_be_halved_is_to_be_closed_whole(service: Service) -> None:
    service.set_price(BTC, 20_000.0)
    position_id, key = await service.opened(qty="0.001"), service.key()
    path = f"/positions/{position_id}/close"
    answer = await service.call("POST", path, key, json={"fraction": "0.5"})
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["remedy"].startswith("close whole")
    assert (await service.call("POST", path, key)).status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"fraction":"0"}', 422, "fraction"),
        (b'{"fraction":1.01}', 422, "fraction"),
        (b'{"fraction":"half"}', 422, "fraction"),
        (b'{"fraction":true}', 422, "fraction"),
        (b'{"fractoin":"1"}', 422, "fractoin"),
        (b"[]", 400, "body"),
        (b"{", 400, "body"),
        (b"x" * 20_000, 413, "body"),
    ],
)
async def test_a_wrong_close_changes_nothing(
    service: Service, body: bytes, status: int, field: str
) -> None:
    position_id = await service.opened()
    answer = await service.call(
        "POST", f"/positions/{position_id}/close", service.key(), content=body
    )
    assert answer.status_code == status
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert len(service.orders) == 1
    (event,) = service.events("request.refused")
    assert event.data["status"] == status


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"fraction":null}', b'{"fraction":1}'])
async def test_a_close_without_fraction_is_of_the_whole(service: Service, body: bytes) -> None:
    position_id = await service.opened()
    answer = await service.call(
        "POST", f"/positions/{position_id}/close", service.key(), content=body
    )
    assert answer.status_code == 202
    await service.until(lambda: not service.flow.positions())


async def test_a_part_close_repeated_under_its_key_acts_once(service: Service) -> None:
    position_id, key = await service.opened(BTC_SPOT, quote_qty="400"), service.key()
    options = {"json": {"fraction": "0.5"}, "headers": {"Idempotency-Key": "k1"}}
    path = f"/positions/{position_id}/close"
    answers = [await service.call("POST", path, key, **options) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.content for answer in answers}) == 1
    assert len(service.orders) == 2
    options["json"] = {"fraction": "0.25"}
    answer = await service.call("POST", path, key, **options)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key"]


async def test_the_owners_close_goes_out_while_storage_refuses(service: Service) -> None:
    position_id, key = await service.opened(), service.key()

    def refuse() -> None:
        raise Retryable("disk full")

    service.journal.gate = refuse
    service.flow.handle(BotSwitched(False, "test", service.clock.now_ns()))
    await service.until(service.flow.problems)
    answer = await service.call("POST", f"/positions/{position_id}/close", key)
    assert answer.status_code in (200, 202)
    assert len(service.orders) == 2
    listed = await service.call("GET", "/positions", key)
    assert listed.status_code == 200


async def test_the_owners_close_is_answered_in_time_while_storage_stalls(service: Service) -> None:
    position_id, key = await service.opened(), service.key()
    released, loop = asyncio.Event(), asyncio.get_running_loop()
    service.journal.gate = lambda: asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
    try:
        async with asyncio.timeout(10):
            answer = await service.call("POST", f"/positions/{position_id}/close", key)
        assert answer.status_code == 202
        assert len(service.orders) == 2
    finally:
        released.set()
