"""Readings of the account: executions, settlements, positions and wallets."""

import time
from decimal import Decimal

import pytest

from engine.model.events import AccountReported, Balance, FundingPaid, OrderFilled
from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Market
from engine.model.order import FillKind, OrderSide
from engine.venues.account import Outcome
from engine.venues.binance import account_owners
from engine.venues.binance.parse import PositionRow
from tests.engine.venues.binance.orders import NO_SUCH_ORDER, failure
from tests.engine.venues.binance.replies import (
    algo,
    position,
    spot_account,
    spot_order,
    spot_trade,
    usdm_balances,
    usdm_order,
    usdm_trade,
)
from tests.engine.venues.binance.venue import LINEAR, SPOT, error, order

NOT_PERMITTED = (401, error(-2015, "Invalid API-key, IP, or permissions for action."))
BACKSTOP = order(LINEAR, Purpose.BACKSTOP).client_order_id


@pytest.fixture
def venue(venue):
    """A venue where nothing happened."""
    venue.answer("get /api/v3/myTrades", [])
    venue.answer("get /api/v3/allOrders", [])
    venue.answer("get /fapi/v3/positionRisk", [])
    venue.answer("get /fapi/v3/balance", usdm_balances())
    venue.answer("get /fapi/v1/income", [])
    venue.answer("get /fapi/v1/userTrades", [])
    venue.answer("get /fapi/v1/allOrders", [])
    venue.answer("get /fapi/v1/openAlgoOrders", [])
    venue.answer("get /fapi/v1/allAlgoOrders", [])
    return venue


async def read(account, *instruments):
    await account.open()
    return await account.read(instruments or (SPOT, LINEAR))


def fills(events):
    return [each.fill for each in events if isinstance(each, OrderFilled)]


async def test_a_reading_ends_with_both_wallets_as_they_were_when_it_began(account, venue):
    venue.answer("get /fapi/v3/positionRisk", [position("-0.5"), position("0", symbol="ETHUSDT")])
    before_ns = time.monotonic_ns()
    *_, report = await read(account)
    assert isinstance(report, AccountReported)
    assert before_ns < report.as_of_ns < time.monotonic_ns()
    assert report.hedged is False
    assert set(report.balances) == {
        Balance(
            "binance", "USDT", Decimal("1000.0"), Decimal("900.0"), Decimal("100.0"), Market.SPOT
        ),
        Balance(
            "binance", "USDT", Decimal("1000.0"), Decimal("850.0"), Decimal("150.0"), Market.LINEAR
        ),
    }
    (held,) = report.positions
    assert (held.side, held.qty, held.liquidation_price) == (Side.SHORT, Decimal("0.5"), 30000)
    assert account.positions() == (held,)


async def test_in_hedge_mode_each_leg_is_a_position(account, venue):
    venue.answer("get /fapi/v1/accountConfig", {"dualSidePosition": True})
    rows = [position("0.2", "LONG"), position("-0.3", "SHORT"), position("0", "BOTH")]
    venue.answer("get /fapi/v3/positionRisk", rows)
    *_, report = await read(account)
    assert report.hedged is True
    assert [(each.side, each.qty) for each in report.positions] == [
        (Side.LONG, Decimal("0.2")),
        (Side.SHORT, Decimal("0.3")),
    ]


async def test_executions_are_told_under_the_client_ids_of_their_orders(account, venue):
    venue.answer("get /api/v3/myTrades", [spot_trade(1, 28), spot_trade(2, 30)])
    venue.answer(
        "get /api/v3/allOrders", [spot_order(), spot_order(orderId=30, clientOrderId="web_x")]
    )
    found = fills(await read(account, SPOT))
    assert [(each.venue_trade_id, each.client_order_id) for each in found] == [
        ("1", spot_order()["clientOrderId"]),
        ("2", "web_x"),
    ]
    assert venue.of("get /api/v3/allOrders")[0]["orderId"] == "28"


async def test_an_owner_that_the_list_lacks_is_asked_for_once(account, venue):
    venue.answer("get /api/v3/myTrades", [spot_trade(1, 28)])
    venue.answer("get /api/v3/order", spot_order())
    first, second = fills(await read(account, SPOT)), fills(await account.read([SPOT]))
    assert first[0].client_order_id == second[0].client_order_id == spot_order()["clientOrderId"]
    assert len(venue.of("get /api/v3/order")) == len(venue.of("get /api/v3/allOrders")) == 1


async def test_a_fresh_execution_waits_until_its_order_is_known(account, venue):
    venue.answer("get /api/v3/myTrades", lambda _: [spot_trade(1, 28, time=venue.now_ms())])
    venue.answer("get /api/v3/order", NO_SUCH_ORDER, spot_order())
    assert fills(await read(account, SPOT)) == []
    (fill,) = fills(await account.read([SPOT]))
    assert fill.client_order_id == spot_order()["clientOrderId"]


async def test_a_child_is_known_though_the_list_lags_behind_its_trigger(account, venue):
    triggered = algo(algoStatus="TRIGGERED", actualOrderId="95")
    venue.answer("get /fapi/v1/openAlgoOrders", [algo()])
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(8, 95, side="SELL")])
    venue.answer("get /fapi/v1/allOrders", [usdm_order(orderId=95, clientOrderId="venue-made")])
    venue.answer("get /fapi/v1/allAlgoOrders", [algo()])
    venue.answer("get /fapi/v1/algoOrder", triggered)
    (fill,) = fills(await read(account, LINEAR))
    assert fill.client_order_id == BACKSTOP


async def test_an_execution_whose_order_is_gone_belongs_to_nobody(account, venue):
    venue.answer("get /api/v3/myTrades", [spot_trade(1, 28)])
    venue.answer("get /api/v3/order", (400, error(-2013, "Order does not exist.")))
    (fill,) = fills(await read(account, SPOT))
    assert fill.client_order_id is None


async def test_the_first_reading_goes_a_day_back_and_the_next_one_a_minute(account, venue):
    await read(account, SPOT, LINEAR)
    await account.read([SPOT, LINEAR])
    for path in ("/api/v3/myTrades", "/fapi/v1/userTrades", "/fapi/v1/income"):
        first, second = (int(each["startTime"]) for each in venue.of(f"get {path}"))
        assert 86_000 < (venue.now_ms() - first) / 1000 < 86_400, path
        assert 60 <= (venue.now_ms() - second) / 1000 < 70, path


async def test_a_reading_that_failed_is_made_up_for_by_the_next(account, venue):
    venue.answer("get /fapi/v3/balance", (500, {}), usdm_balances())
    await account.open()
    await failure(account.read([SPOT]))
    await account.read([SPOT])
    second = int(venue.of("get /api/v3/myTrades")[-1]["startTime"])
    assert (venue.now_ms() - second) / 1000 > 86_000


async def test_more_executions_than_a_page_holds_are_read_on_by_id(account, venue):
    page = [spot_trade(number, 28, "0.00001") for number in range(1000)]
    rest = [spot_trade(1000, 28, "0.00001")]
    venue.answer("get /api/v3/myTrades", lambda p: rest if "fromId" in p else page)
    venue.answer("get /api/v3/allOrders", [spot_order()])
    assert len(fills(await read(account, SPOT))) == 1001
    onward = venue.of("get /api/v3/myTrades")[1]
    assert (onward["fromId"], "startTime" in onward) == ("1000", False)


async def test_a_backstops_child_that_triggered_meanwhile_is_told_as_ours(account, venue):
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(8, 95, side="SELL")])
    venue.answer("get /fapi/v1/allOrders", [usdm_order(orderId=95, clientOrderId="venue-made")])
    venue.answer("get /fapi/v1/allAlgoOrders", [algo(algoStatus="FINISHED", actualOrderId="95")])
    (fill,) = fills(await read(account, LINEAR))
    assert (fill.client_order_id, fill.side) == (BACKSTOP, OrderSide.SELL)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("autoclose-1596107620040000020", FillKind.LIQUIDATION),
        ("adl_autoclose", FillKind.ADL),
        ("web_1", FillKind.TRADE),
    ],
)
async def test_what_the_venue_did_to_a_position_is_told_as_such(account, venue, name, kind):
    venue.answer("get /fapi/v1/userTrades", [usdm_trade(8, 95)])
    venue.answer("get /fapi/v1/allOrders", [usdm_order(orderId=95, clientOrderId=name)])
    (fill,) = fills(await read(account, LINEAR))
    assert (fill.kind, fill.client_order_id) == (kind, name)


async def test_funding_is_positive_when_paid(account, venue):
    row = {
        "symbol": "BTCUSDT",
        "incomeType": "FUNDING_FEE",
        "income": "-0.375",
        "asset": "USDT",
        "time": 1_700_000_000_000,
        "tranId": 9689322392,
        "tradeId": "",
    }
    strange = {**row, "symbol": "NEWUSDT", "tranId": 5}
    venue.answer("get /fapi/v1/income", [row, strange])
    paid = [each for each in await read(account) if isinstance(each, FundingPaid)]
    assert [(each.amount, each.venue_trade_id) for each in paid] == [
        (Decimal("0.375"), "9689322392")
    ]
    assert venue.of("get /fapi/v1/income")[0]["incomeType"] == "FUNDING_FEE"


async def test_a_wallet_with_bnb_has_its_price_kept_at_hand(account, venue):
    bnb = {"asset": "BNB", "free": "1", "locked": "0"}
    venue.answer("get /api/v3/account", spot_account(balances=[bnb]))
    await read(account)
    assert account._fees.wanted == {("BNB", "USDT")}


async def test_an_account_that_is_not_open_is_not_read_as_empty(account, venue):
    venue.answer("get /fapi/v1/accountConfig", (503, {}))
    await failure(account.open())
    assert (await failure(account.read([SPOT]))).verdict.outcome is Outcome.RETRY


async def test_an_outage_takes_no_permission_away(account, venue):
    await account.open()
    venue.answer("get /fapi/v1/accountConfig", (503, {}))
    venue.answer("get /api/v3/account", (503, {}))
    await failure(account.open())
    assert account.spot.permitted.is_set()
    assert account.usdm.permitted.is_set()


# A key for one market only


async def test_a_key_without_futures_leaves_them_alone(account, venue):
    venue.answer("get /fapi/v1/accountConfig", NOT_PERMITTED)
    *_, report = await read(account)
    assert {each.market for each in report.balances} == {Market.SPOT}
    assert venue.of("get /fapi/v3/balance") == []
    refused = await failure(account.place(order(LINEAR), lambda _: None))
    assert refused.verdict.outcome is Outcome.REJECTED
    assert "Futures" in str(refused)
    assert venue.of("post /fapi/v1/order") == []


async def test_what_the_key_may_not_do_is_not_asked_for(account, venue):
    venue.answer("get /fapi/v1/accountConfig", NOT_PERMITTED)
    await account.open()
    before = len(venue.asked)
    for asked in (account.find(order(LINEAR)), account.cancel(order(LINEAR))):
        assert (await failure(asked)).verdict.outcome is Outcome.REJECTED
    assert len(venue.asked) == before


async def test_a_key_without_spot_leaves_it_alone(account, venue):
    venue.answer("get /api/v3/account", NOT_PERMITTED)
    *_, report = await read(account)
    assert {each.market for each in report.balances} == {Market.LINEAR}
    assert "Spot" in str(await failure(account.place(order(SPOT), lambda _: None)))


async def test_a_key_without_either_stops_trading(account, venue):
    venue.answer("get /api/v3/account", NOT_PERMITTED)
    venue.answer("get /fapi/v1/accountConfig", NOT_PERMITTED)
    stopped = await failure(account.open())
    assert stopped.verdict.outcome is Outcome.STOP
    assert stopped.verdict.remedy


async def test_a_permission_that_was_given_later_counts(account, venue):
    venue.answer("get /fapi/v1/accountConfig", NOT_PERMITTED, {"dualSidePosition": False})
    venue.answer("post /fapi/v1/order", usdm_order(status="NEW", executedQty="0"))
    await account.open()
    await account.open()
    await account.place(order(LINEAR), lambda _: None)


async def test_a_venue_that_cannot_be_asked_is_not_open(account, venue):
    venue.answer("get /fapi/v1/accountConfig", (503, {}))
    assert (await failure(account.open())).verdict.outcome is Outcome.UNKNOWN


# Long lists


async def test_settlements_beyond_a_page_are_read_on_from_its_last(account, venue):
    def row(number, time_ms):
        return {
            "symbol": "BTCUSDT",
            "incomeType": "FUNDING_FEE",
            "income": "1",
            "asset": "USDT",
            "time": time_ms,
            "tranId": number,
        }

    page = [row(number, 2 * 10**12 + number) for number in range(1000)]
    rest = [page[-1], row(1000, 2 * 10**12 + 1000)]
    venue.answer("get /fapi/v1/income", page, rest)
    paid = [each for each in await read(account) if isinstance(each, FundingPaid)]
    assert len(paid) == 1001
    assert venue.of("get /fapi/v1/income")[1]["startTime"] == str(page[-1]["time"])


async def test_an_owner_beyond_a_page_is_found_among_the_latest(account, venue):
    venue.answer("get /api/v3/myTrades", [spot_trade(1, 1), spot_trade(2, 5000)])
    old = [spot_order(orderId=1 + number, clientOrderId="web") for number in range(1000)]
    venue.answer(
        "get /api/v3/allOrders", lambda p: old if "orderId" in p else [spot_order(orderId=5000)]
    )
    found = fills(await read(account, SPOT))
    assert [each.client_order_id for each in found] == ["web", spot_order()["clientOrderId"]]


def test_only_the_latest_owners_are_kept(monkeypatch):
    monkeypatch.setattr(account_owners, "KEPT", 2)
    owners = account_owners.Owners()
    for number in (1, 2, 3):
        owners.put("BTCUSDT", number, "web")
    assert [owners.get("BTCUSDT", number) for number in (1, 2, 3)] == [None, "web", "web"]
    assert owners.missing("BTCUSDT", [3, 1, 1]) == [1]


async def test_a_liquidation_price_stays_until_it_is_read_anew(account, venue):
    venue.answer("get /fapi/v3/positionRisk", [position("0.5")])
    await read(account)
    account.usdm.note_position(PositionRow("BTCUSDT", Decimal("0.6"), Decimal(50000)))
    assert account.positions()[0].liquidation_price == 30000
    account.usdm.note_position(PositionRow("BTCUSDT", Decimal("-0.1"), Decimal(50000)))
    assert account.positions()[0].liquidation_price is None


async def test_a_wallet_that_cannot_be_read_is_not_a_missing_permission(account, venue):
    venue.answer("get /api/v3/account", (503, {}))
    assert (await failure(account.open())).verdict.outcome is Outcome.UNKNOWN
    assert not account.spot.is_denied
