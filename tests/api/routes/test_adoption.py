"""``POST /positions/adopt`` over HTTP, on a venue that holds what nobody bought through us."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.routes import adoption
from engine.model.events import AccountReported, Balance, VenuePosition
from engine.model.exits import Side
from engine.model.instrument import Instrument
from engine.model.order import FillKind
from storage.tables import Scope
from tests.api.service import BTC, BTC_SPOT, Service, running

LINEAR = {"venue": "bybit", "market": "linear", "symbol": "BTCUSDT"}
SPOT = {"venue": "bybit", "market": "spot", "symbol": "BTCUSDT"}
D = Decimal


def holds(service: Service, *rows: VenuePosition, btc: str = "0", hedged: bool = False) -> None:
    """Have the account of Bybit hold this from now on, and tell it at once."""

    def read(_instruments: Sequence[Instrument] = ()) -> None:
        balances = tuple(
            Balance("bybit", asset, D(total), D(total), D(0))
            for asset, total in (("USDT", "10000"), ("BTC", btc))
        )
        now_ns, as_of_ns = service.clock.now_ns(), service.clock.monotonic_ns()
        service.flow.handle(AccountReported("bybit", rows, balances, now_ns, as_of_ns, hedged))

    service.flow._brokers["bybit"].read_account = read  # type: ignore[method-assign]
    read()


def long(qty: str = "3", entry_price: str = "100") -> VenuePosition:
    return VenuePosition(BTC, Side.LONG, D(qty), D(entry_price))


async def adopt(service: Service, **body: Any) -> httpx.Response:
    return await service.call("POST", "/positions/adopt", service.key(), json=LINEAR | body)


def errors(answer: httpx.Response) -> dict[str, str]:
    return {error["field"]: error["remedy"] for error in answer.json()["errors"]}


async def test_what_the_venue_holds_is_guarded_and_closed_like_any_other(
    service: Service,
) -> None:
    holds(service, long())
    answer = await adopt(service, stop_loss="99.5", take_profit_percent=None)
    found = answer.json()
    assert answer.status_code == 202, answer.text
    assert (found["status"], found["guard"], found["side"]) == ("open", "armed", "long")
    assert (found["qty"], found["qty_open"], found["entry_price"]) == ("3", "3", "100")
    assert (found["stop_loss"], found["take_profit"]) == ("99.5", None)
    service.set_price(BTC, 99.4)
    await service.until(lambda: service.orders)
    (order,) = service.orders
    assert (order.position_id, order.qty) == (found["id"], 3)


async def test_its_fill_is_in_the_ledger_and_the_log_names_who_asked(service: Service) -> None:
    holds(service, long())
    position_id = (await adopt(service)).json()["id"]
    trades = (await service.call("GET", "/trades", service.key())).json()["items"]
    (trade,) = [t for t in trades if t["position_id"] == position_id]
    assert trade["venue_trade_id"] == f"adopted-{position_id}"
    assert (trade["order_id"], trade["fee"], trade["qty"]) == (None, "0", "3")
    (stored,) = service.queries.trades(10, None).items
    assert stored.fill.kind is FillKind.ADOPTED
    (event,) = service.events("position.adopted")
    assert event.actor.startswith("rest:")


async def test_on_spot_the_owner_may_say_what_it_cost(service: Service) -> None:
    holds(service, btc="2")
    answer = await adopt(service, **SPOT, entry_price="98")
    assert answer.status_code == 202, answer.text
    assert (answer.json()["qty"], answer.json()["entry_price"]) == ("2", "98")


async def test_a_leg_is_named_where_there_are_two(service: Service) -> None:
    holds(service, long(), VenuePosition(BTC, Side.SHORT, D(2), D(100)), hedged=True)
    unnamed = await adopt(service)
    assert (unnamed.status_code, list(errors(unnamed))) == (422, ["side"])
    named = await adopt(service, side="short")
    assert (named.status_code, named.json()["side"]) == (202, "short")


async def test_one_key_adopts_once_and_answers_the_same(service: Service) -> None:
    holds(service, long())
    key, headers = service.key(), {"Idempotency-Key": "once"}
    answers = [
        await service.call("POST", "/positions/adopt", key, json=LINEAR, headers=headers)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert len(service.flow.positions()) == 1
    other = LINEAR | {"stop_loss_percent": 3}
    reused = await service.call("POST", "/positions/adopt", key, json=other, headers=headers)
    assert reused.status_code == 422


async def test_on_paper_nothing_is_there_that_is_not_ours(service: Service) -> None:
    await service.until(lambda: "bybit" in service.flow._guardian._state.accounts_read)
    answer = await adopt(service)
    assert (answer.status_code, list(errors(answer))) == (409, ["symbol"])


async def test_nothing_there_is_a_409_with_a_remedy(service: Service) -> None:
    holds(service)
    answer = await adopt(service)
    assert answer.status_code == 409
    assert errors(answer)["symbol"].startswith("bybit holds nothing of bybit:linear:BTCUSDT")


async def test_a_stop_that_would_close_at_once_is_refused_by_its_name(service: Service) -> None:
    holds(service, long(entry_price="150"))
    answer = await adopt(service)
    assert answer.status_code == 422
    assert errors(answer) == {
        "stop_loss_percent": "127.5 of a long must lie below the price, now 100 (it is the default"
        " STOP_LOSS_PERCENT; give another, or null for none)"
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"symbol": "NOSUCH"}, "symbol"),
        ({"symbol": None}, "symbol"),
        ({"venue": "okx"}, "venue"),
        ({"market": "options"}, "market"),
        ({"side": "up"}, "side"),
        ({"entry_price": "-1"}, "entry_price"),
        ({"entry_price": "90"}, "entry_price"),
        ({"stop_loss_percent": "much"}, "stop_loss_percent"),
        ({"qty": "1"}, "qty"),
    ],
)
async def test_what_is_wrong_is_a_422_with_its_field(
    service: Service, body: dict[str, Any], field: str
) -> None:
    holds(service, long())
    answer = await adopt(service, **body)
    assert (answer.status_code, list(errors(answer))) == (422, [field])
    assert service.flow.positions() == []


async def test_a_list_that_was_not_read_is_a_503(tmp_path: Path) -> None:
    async with running(tmp_path, listed=False) as service:
        answer = await adopt(service)
        assert answer.status_code == 503
        assert "bybit lists on linear" in answer.json()["detail"]
        assert answer.headers["Retry-After"]


async def test_what_is_not_known_in_time_is_a_503_with_its_field(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "KNOWN_WITHIN_S", 0.1)
    holds(service, long())
    service.prices.pop(BTC)
    answer = await adopt(service)
    assert answer.status_code == 503
    assert errors(answer) == {
        "symbol": "no price of bybit:linear:BTCUSDT is known yet; send it again in a few seconds"
    }
    assert answer.headers["Retry-After"]


async def test_the_price_is_asked_for_and_waited_for(service: Service) -> None:
    holds(service, long())
    assert service.flow.price(BTC) is None
    assert (await adopt(service)).status_code == 202


async def test_a_price_that_comes_late_is_waited_for(service: Service) -> None:
    holds(service, btc="2")
    price = service.prices.pop(BTC_SPOT)
    asked = asyncio.create_task(adopt(service, **SPOT))
    await asyncio.sleep(0.1)
    assert not asked.done()
    service.set_price(BTC_SPOT, price)
    assert (await asked).status_code == 202


async def test_it_is_closed_at_the_owners_time_of_day(tmp_path: Path) -> None:
    async with running(tmp_path, close_at="12:00") as service:
        holds(service, long())
        rules = {line["rule"] for line in (await adopt(service)).json()["exits"]}
        assert "time" in rules
        holds(service, btc="2")
        answer = await adopt(service, **SPOT, close_at=None)
        assert "time" not in {line["rule"] for line in answer.json()["exits"]}


async def test_reading_keys_adopt_nothing(service: Service) -> None:
    holds(service, long())
    key = service.key(Scope.READ)
    answer = await service.call("POST", "/positions/adopt", key, json=LINEAR)
    assert answer.status_code == 403
    assert service.flow.positions() == []
