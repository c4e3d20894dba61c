"""Orders looked up, question by question."""

from decimal import Decimal

import pytest

from engine.model.exits import Side
from engine.model.order import FillKind, OrderSide, OrderStatus
from engine.venues.account import Outcome
from tests.engine.venues.binance.orders import (
    NO_SUCH_ORDER,
    backstop,
    close,
    entry,
    failure,
)
from tests.engine.venues.binance.replies import (
    algo,
    spot_order,
    spot_trade,
    usdm_order,
    usdm_trade,
)
from tests.engine.venues.binance.venue import SPOT, error


def absent_on_spot(venue, trades=()):
    venue.answer("get /api/v3/order", NO_SUCH_ORDER)
    venue.answer("get /api/v3/openOrders", [])
    venue.answer("get /api/v3/allOrders", [])
    venue.answer("get /api/v3/myTrades", list(trades))


async def test_an_order_that_nothing_knows_is_not_found(account, venue):
    absent_on_spot(venue)
    found = await account.find(entry(SPOT))
    assert (found.found, found.certain) == (False, False)
    paths = {each.path for each in venue.asked}
    assert {"/api/v3/order", "/api/v3/openOrders", "/api/v3/allOrders", "/api/v3/myTrades"} <= paths


@pytest.mark.parametrize("path", ["order", "openOrders", "allOrders", "myTrades"])
async def test_a_question_without_an_answer_makes_no_miss(account, venue, path):
    absent_on_spot(venue)
    venue.answer(f"get /api/v3/{path}", (502, b"<html>"))
    assert (await failure(account.find(entry(SPOT)))).verdict.outcome is Outcome.UNKNOWN


async def test_an_order_whose_execution_came_before_its_record_is_no_miss(account, venue):
    absent_on_spot(venue, [spot_trade(9, order_id=77)])
    mine = spot_order(orderId=77, clientOrderId=entry(SPOT).client_order_id)
    venue.answer("get /api/v3/order", NO_SUCH_ORDER, mine)
    assert "executed" in str(await failure(account.find(entry(SPOT))))


async def test_a_fresh_execution_of_nobody_known_is_no_miss(account, venue):
    absent_on_spot(venue, [spot_trade(9, order_id=77, time=venue.now_ms())])
    await failure(account.find(entry(SPOT)))
    absent_on_spot(venue, [spot_trade(9, order_id=77)])
    assert (await account.find(entry(SPOT))).found is False


async def test_an_execution_of_somebody_else_changes_no_miss(account, venue):
    absent_on_spot(venue, [spot_trade(9, order_id=77)])
    venue.answer("get /api/v3/order", NO_SUCH_ORDER, spot_order(orderId=77, clientOrderId="web_1"))
    assert (await account.find(entry(SPOT))).found is False


async def test_an_order_is_found_with_its_fills(account, venue):
    venue.answer("get /api/v3/order", spot_order())
    venue.answer("get /api/v3/allOrders", [spot_order(), spot_order(orderId=3, clientOrderId="x")])
    venue.answer("get /api/v3/myTrades", [spot_trade(9)])
    found = await account.find(entry(SPOT))
    assert (found.status, found.qty, found.venue_order_id) == (
        OrderStatus.FILLED,
        Decimal("0.01"),
        "28",
    )
    assert [fill.venue_trade_id for fill in found.fills] == ["9"]
    assert found.message is None


async def test_a_second_order_under_one_id_is_told_with_both_quantities(account, venue):
    venue.answer("get /api/v3/order", spot_order(orderId=29))
    venue.answer("get /api/v3/allOrders", [spot_order(), spot_order(orderId=29)])
    venue.answer(
        "get /api/v3/myTrades", lambda p: [spot_trade(int(p["orderId"]), int(p["orderId"]))]
    )
    found = await account.find(entry(SPOT))
    assert found.qty == Decimal("0.02")
    assert [fill.venue_trade_id for fill in found.fills] == ["28", "29"]
    assert found.message == "2 orders under one id"


async def test_fills_that_lag_behind_the_order_make_no_answer(account, venue):
    venue.answer("get /fapi/v1/order", usdm_order(status="CANCELED"))
    venue.answer("get /fapi/v1/allOrders", [])
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(5, qty="0.004")])
    await failure(account.find(entry()))


async def test_a_resting_order_that_filled_a_part_is_partially_filled(account, venue):
    venue.answer("get /fapi/v1/order", usdm_order(status="NEW", executedQty="0.004"))
    venue.answer("get /fapi/v1/allOrders", [])
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(5, qty="0.004")])
    assert (await account.find(entry())).status is OrderStatus.PARTIALLY_FILLED


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("NEW", OrderStatus.ACKNOWLEDGED),
        ("TRIGGERING", OrderStatus.ACKNOWLEDGED),
        ("CANCELED", OrderStatus.CANCELLED),
        ("EXPIRED", OrderStatus.CANCELLED),
        ("REJECTED", OrderStatus.REJECTED),
    ],
)
async def test_a_backstop_is_looked_up_among_the_conditional_orders(account, venue, told, status):
    venue.answer("get /fapi/v1/algoOrder", algo(algoStatus=told))
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [algo(algoStatus=told)])
    found = await account.find(backstop())
    assert (found.status, found.qty, found.fills) == (status, Decimal("0.010"), ())


async def test_a_backstop_that_nothing_knows_is_not_found(account, venue):
    venue.answer("get /fapi/v1/algoOrder", NO_SUCH_ORDER)
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [algo(clientAlgoId="other")])
    assert (await account.find(backstop())).found is False


async def test_the_fills_of_a_backstops_child_are_told_under_our_id(account, venue):
    venue.answer("get /fapi/v1/algoOrder", algo(algoStatus="TRIGGERED", actualOrderId=95))
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [])
    child = usdm_order(orderId=95, clientOrderId="made", status="PARTIALLY_FILLED")
    venue.answer("get /fapi/v1/order", child)
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(8, 95, side="SELL", positionSide="LONG")])
    found = await account.find(backstop())
    assert found.status is OrderStatus.PARTIALLY_FILLED
    (fill,) = found.fills
    assert fill.client_order_id == backstop().client_order_id
    assert (fill.side, fill.leg, fill.kind) == (OrderSide.SELL, Side.LONG, FillKind.TRADE)


async def test_a_child_that_the_history_lacks_makes_no_answer(account, venue):
    venue.answer("get /fapi/v1/algoOrder", algo(algoStatus="TRIGGERED", actualOrderId="95"))
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [])
    venue.answer("get /fapi/v1/order", NO_SUCH_ORDER)
    assert "child" in str(await failure(account.find(backstop())))


async def test_an_order_of_many_executions_is_read_page_by_page(account, venue):
    page = [usdm_trade(number, qty="0.00001") for number in range(1000)]
    rest = [usdm_trade(1000, 92), usdm_trade(1001, qty="0.00001")]
    venue.answer("get /fapi/v1/order", usdm_order(executedQty="0.01001"))
    venue.answer("get /fapi/v1/allOrders", [])
    venue.answer("get /fapi/v1/userTrades", lambda p: rest if "fromId" in p else page)
    assert len((await account.find(entry())).fills) == 1001


async def test_an_error_other_than_no_such_order_is_no_answer(account, venue):
    refusal = (400, error(-1003, "Too many requests queued."))
    for name in ("delete /api/v3/order", "delete /fapi/v1/algoOrder", "get /fapi/v1/algoOrder"):
        venue.answer(name, refusal)
    for asked in (
        account.cancel(backstop(SPOT)),
        account.cancel(backstop()),
        account.find(backstop()),
    ):
        assert (await failure(asked)).code == "-1003"


async def test_a_refusal_to_tell_the_mode_is_the_orders_own(account, venue):
    venue.answer("get /fapi/v1/accountConfig", (401, error(-2015, "Invalid API-key")))
    refused = await failure(account.place(close(), lambda _: None))
    assert refused.verdict.outcome is Outcome.STOP


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("FILLED", "FILLED"), OrderStatus.FILLED),
        (("FILLED", "CANCELED"), OrderStatus.CANCELLED),
        (("CANCELED", "NEW"), OrderStatus.PARTIALLY_FILLED),
    ],
)
async def test_orders_under_one_id_stand_where_the_liveliest_does(
    account, venue, statuses, expected
):
    rows = [
        usdm_order(orderId=90 + number, status=status) for number, status in enumerate(statuses)
    ]
    venue.answer("get /fapi/v1/order", rows[-1])
    venue.answer("get /fapi/v1/allOrders", rows)
    venue.answer(
        "get /fapi/v1/userTrades", lambda p: [usdm_trade(int(p["orderId"]), int(p["orderId"]))]
    )
    assert (await account.find(entry())).status is expected


async def test_backstops_under_one_id_are_told_together(account, venue):
    venue.answer("get /fapi/v1/algoOrder", algo())
    venue.answer("get /fapi/v1/openAlgoOrders", [algo()])
    venue.answer("get /fapi/v1/allAlgoOrders", [algo(algoId=701, algoStatus="CANCELED")])
    found = await account.find(backstop())
    assert (found.status, found.qty) == (OrderStatus.ACKNOWLEDGED, Decimal("0.020"))
    assert found.message == "2 orders under one id"
