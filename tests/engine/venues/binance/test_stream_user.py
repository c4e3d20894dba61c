"""What the streams tell, frame by frame, and what they do about what they cannot know."""

import asyncio
import hashlib
import hmac
import json
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from engine.clock import SystemClock
from engine.model.events import (
    AccountResumed,
    Balance,
    BalancesReported,
    OrderFilled,
    OrderUpdated,
)
from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Market
from engine.model.order import FillKind, OrderSide, OrderStatus, Refusal
from engine.venues.account import Outcome, RequestFailed
from engine.venues.binance import stream_usdm
from engine.venues.binance.stream import SpotDialect
from engine.venues.binance.stream_usdm import UsdmDialect
from tests.engine.venues.binance.replies import algo, usdm_balances
from tests.engine.venues.binance.venue import KEY, LINEAR, SECRET, SPOT, error, order

ENTRY = order(SPOT).client_order_id
BACKSTOP = order(LINEAR, Purpose.BACKSTOP).client_order_id


def spot_report(**changes):
    told = {
        "e": "executionReport",
        "E": 1,
        "s": "BTCUSDT",
        "c": ENTRY,
        "S": "BUY",
        "o": "MARKET",
        "q": "0.01",
        "x": "TRADE",
        "X": "FILLED",
        "r": "NONE",
        "i": 28,
        "l": "0.01",
        "z": "0.01",
        "L": "50000",
        "n": "0.00001",
        "N": "BTC",
        "T": 1_700_000_000_000,
        "t": 9,
        "C": "",
        **changes,
    }
    return json.dumps({"subscriptionId": 0, "event": told}).encode()


def usdm_update(**changes):
    told = {
        "s": "BTCUSDT",
        "c": ENTRY,
        "S": "BUY",
        "q": "0.01",
        "x": "TRADE",
        "X": "FILLED",
        "i": 91,
        "l": "0.01",
        "z": "0.01",
        "L": "50000",
        "n": "0.2",
        "N": "USDT",
        "T": 1_700_000_000_000,
        "t": 5,
        "ps": "BOTH",
        **changes,
    }
    return json.dumps({"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1, "o": told}).encode()


def algo_update(status, child="", reason=""):
    told = {"caid": BACKSTOP, "aid": 700, "s": "BTCUSDT", "X": status, "ai": child, "rm": reason}
    return json.dumps({"e": "ALGO_UPDATE", "E": 1, "T": 1, "o": told}).encode()


@pytest.fixture
def spot(account):
    return SpotDialect("ws://spot", account.spot, account._find, SystemClock())


@pytest.fixture
def usdm(account):
    return UsdmDialect("ws://usdm", account.usdm, account._find, SystemClock())


# Spot


async def test_the_subscription_is_signed_over_its_sorted_parameters(spot, venue):
    venue.offset_ms = 60_000
    assert await spot.url() == "ws://spot"
    (text,) = spot.hello()
    call = json.loads(text)
    assert call["method"] == "userDataStream.subscribe.signature"
    signature = call["params"].pop("signature")
    payload = urlencode(sorted(call["params"].items()))
    assert signature == hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert call["params"]["apiKey"] == KEY
    assert call["params"]["timestamp"] == pytest.approx(venue.now_ms(), abs=500)


async def test_a_right_that_was_taken_back_ends_that_stream_and_no_more(spot, usdm, account):
    for dialect, side in ((spot, account.spot), (usdm, account.usdm)):
        side.is_denied = True
        with pytest.raises(RequestFailed) as caught:
            await dialect.url()
        assert caught.value.verdict.outcome is Outcome.REJECTED


async def test_an_accepted_subscription_is_ready(spot):
    frame = b'{"id":"user-data","status":200,"result":{"subscriptionId":0},"rateLimits":[]}'
    assert spot.read(frame).ready


async def test_a_refused_subscription_is_judged_by_its_code(spot):
    frame = b'{"id":"user-data","status":401,"error":{"code":-2015,"msg":"Invalid API-key"}}'
    failure = spot.read(frame).failure
    assert isinstance(failure, RequestFailed)
    assert (failure.code, failure.verdict.outcome) == ("-2015", Outcome.STOP)


@pytest.mark.parametrize("kind", ["eventStreamTerminated", "serverShutdown"])
async def test_the_end_of_a_stream_is_told(spot, kind):
    frame = json.dumps({"subscriptionId": 0, "event": {"e": kind, "E": 1}}).encode()
    assert spot.read(frame).ended == kind


async def test_a_fill_comes_before_where_its_order_stands(spot):
    filled, updated = spot.read(spot_report()).events
    assert isinstance(filled, OrderFilled)
    assert (filled.fill.venue_trade_id, filled.fill.qty, filled.fill.fee) == (
        "9",
        Decimal("0.01"),
        Decimal("0.00001"),
    )
    assert (filled.fill.client_order_id, filled.fill.time_ns) == (ENTRY, 1_700_000_000 * 10**9)
    assert (updated.status, updated.filled_qty) == (OrderStatus.FILLED, Decimal("0.01"))
    assert updated.venue_order_id == "28"


async def test_a_cancellation_is_told_under_the_orders_own_id(spot):
    frame = spot_report(
        x="CANCELED", X="CANCELED", c="request", C=ENTRY, t=-1, l="0", z="0", N=None
    )
    (updated,) = spot.read(frame).events
    assert (updated.client_order_id, updated.status) == (ENTRY, OrderStatus.CANCELLED)


async def test_an_order_of_somebody_else_is_told_by_its_fills_only(spot):
    (filled,) = spot.read(spot_report(c="web_1")).events
    assert filled.fill.client_order_id == "web_1"


async def test_a_fill_of_an_unknown_instrument_is_left_out(spot):
    assert spot.read(spot_report(s="NEWUSDT", c="web_1")).events == ()


async def test_a_fee_in_bnb_has_the_rate_that_is_at_hand(spot, account):
    account._fees._rates["BNB", "USDT", 1_700_000_000_000 // 60_000 - 1] = Decimal(600)
    filled, _ = spot.read(spot_report(N="BNB", n="0.001")).events
    assert filled.fill.fee_rate == Decimal(600)
    filled, _ = spot.read(spot_report(N="BNB", T=1_700_000_900_000)).events
    assert filled.fill.fee_rate is None


async def test_balances_are_told_for_their_wallet(spot):
    event = {"e": "outboundAccountPosition", "E": 1, "B": [{"a": "BTC", "f": "2", "l": "1"}]}
    frame = json.dumps({"subscriptionId": 0, "event": event}).encode()
    (told,) = spot.read(frame).events
    assert told.balances == (
        Balance("binance", "BTC", Decimal(3), Decimal(2), Decimal(1), Market.SPOT),
    )


async def test_events_that_say_nothing_needed_are_passed_over(spot, usdm):
    frame = b'{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1,"a":"BTC","d":"1","T":1}}'
    assert spot.read(frame).events == ()
    assert usdm.read(b'{"e":"TRADE_LITE","E":1}').events == ()
    assert usdm.read(b'{"e":"FROM_THE_FUTURE","E":1}').events == ()


# USD-M


async def test_the_address_holds_a_listen_key(usdm, venue):
    venue.answer("post /fapi/v1/listenKey", {"listenKey": "abc"})
    venue.answer("get /fapi/v1/openAlgoOrders", [algo()])
    assert await usdm.url() == "ws://usdm/private/ws?listenKey=abc"
    assert venue.of("post /fapi/v1/listenKey") == [{}]
    assert usdm.hello() == ()
    # The backstops at rest are known from here on.
    assert usdm.read(usdm_update(c="venue-made", i=95)).events == ()


async def test_an_expired_listen_key_ends_the_session(usdm):
    assert usdm.read(b'{"e":"listenKeyExpired","E":1,"listenKey":"abc"}').ended


async def test_a_futures_fill_tells_its_leg(usdm):
    filled, updated = usdm.read(usdm_update(ps="LONG")).events
    assert (filled.fill.leg, filled.fill.fee, filled.fill.kind) == (
        Side.LONG,
        Decimal("0.2"),
        FillKind.TRADE,
    )
    assert (updated.status, updated.venue_order_id) == (OrderStatus.FILLED, "91")


@pytest.mark.parametrize(
    ("name", "kind"), [("autoclose-1", FillKind.LIQUIDATION), ("adl_autoclose", FillKind.ADL)]
)
async def test_a_liquidation_is_told_as_one_at_once(usdm, name, kind):
    usdm.read(algo_update("NEW"))
    (filled,) = usdm.read(usdm_update(c=name, x="CALCULATED", ps="SHORT")).events
    assert (filled.fill.kind, filled.fill.leg) == (kind, Side.SHORT)


async def test_a_futures_fill_of_an_unknown_instrument_is_left_out(usdm):
    assert usdm.read(usdm_update(s="NEWUSDT", c="web_1")).events == ()


async def test_the_server_pings_so_we_do_not(spot, usdm):
    assert (spot.ping(), usdm.ping()) == (None, None)


async def test_an_account_update_moves_positions_and_has_the_wallet_read(usdm, account, venue):
    rows = [{"s": "BTCUSDT", "pa": "-0.5", "ep": "50000", "ps": "BOTH"}]
    event = {"e": "ACCOUNT_UPDATE", "a": {"m": "ORDER", "B": [{"a": "USDT", "wb": "9"}], "P": rows}}
    assert usdm.read(json.dumps(event).encode()).events == ()
    (held,) = account.positions()
    assert (held.side, held.qty) == (Side.SHORT, Decimal("0.5"))
    event["a"]["P"][0]["pa"] = "0"
    usdm.read(json.dumps(event).encode())
    assert account.positions() == ()
    venue.answer("get /fapi/v3/balance", (500, {}), usdm_balances())
    told = await until_told(usdm.follow_wallet, again=usdm.wallet_changed.set)
    assert isinstance(told[0], BalancesReported)
    assert told[0].balances[0].market is Market.LINEAR


async def until_told(task, again=lambda: None):
    """Run a task of the dialect until it told something."""
    told = []
    running = asyncio.create_task(task(told.append))
    async with asyncio.timeout(5):
        while not told:
            await asyncio.sleep(0.02)
            again()
    running.cancel()
    return told


# Conditional orders


async def test_a_resting_backstop_is_acknowledged(usdm):
    (updated,) = usdm.read(algo_update("NEW")).events
    assert (updated.client_order_id, updated.status, updated.venue_order_id) == (
        BACKSTOP,
        OrderStatus.ACKNOWLEDGED,
        "700",
    )


@pytest.mark.parametrize(
    ("status", "reason", "expected", "refusal"),
    [
        ("CANCELED", "", OrderStatus.CANCELLED, Refusal.OTHER),
        ("EXPIRED", "", OrderStatus.CANCELLED, Refusal.OTHER),
        ("REJECTED", "Reduce Only reject", OrderStatus.REJECTED, Refusal.REDUCE_ONLY),
        ("REJECTED", "Margin", OrderStatus.REJECTED, Refusal.OTHER),
    ],
)
async def test_the_end_of_a_backstop_is_told(usdm, status, reason, expected, refusal):
    (updated,) = usdm.read(algo_update(status, reason=reason)).events
    assert (updated.status, updated.refusal) == (expected, refusal)


async def test_a_triggered_backstops_child_is_told_under_its_id(usdm):
    assert usdm.read(algo_update("NEW")).events
    assert usdm.read(algo_update("TRIGGERED", child="95")).events == ()
    frame = usdm_update(c="venue-made", i=95, S="SELL")
    filled, updated = usdm.read(frame).events
    assert (filled.fill.client_order_id, filled.fill.side) == (BACKSTOP, OrderSide.SELL)
    assert (updated.client_order_id, updated.status) == (BACKSTOP, OrderStatus.FILLED)
    assert updated.venue_order_id is None
    assert usdm.read(algo_update("FINISHED", child="95")).events == ()


async def test_a_child_that_fills_before_its_trigger_is_told_waits_for_its_owner(usdm, venue):
    usdm.read(algo_update("NEW"))
    frame = usdm_update(c="venue-made", i=95, S="SELL")
    assert usdm.read(usdm_update(c="venue-made", i=95, x="NEW", X="NEW", l="0", t=0)).events == ()
    assert usdm.read(frame).events == ()
    venue.answer("get /fapi/v1/allAlgoOrders", [algo(algoStatus="FINISHED", actualOrderId="95")])
    filled, updated = await until_told(usdm.resolve)
    assert isinstance(updated, OrderUpdated)
    assert filled.fill.client_order_id == updated.client_order_id == BACKSTOP


async def test_an_order_by_hand_beside_a_backstop_is_told_as_such(usdm, venue):
    usdm.read(algo_update("NEW"))
    usdm.read(usdm_update(c="web_1", i=96))
    venue.answer("get /fapi/v1/allAlgoOrders", [algo()])
    venue.answer("get /fapi/v1/algoOrder", algo())
    (filled,) = await until_told(usdm.resolve)
    assert filled.fill.client_order_id == "web_1"


async def test_an_owner_that_cannot_be_asked_for_has_the_account_read(usdm, venue):
    usdm.read(algo_update("NEW"))
    usdm.read(usdm_update(c="venue-made", i=95))
    venue.answer("get /fapi/v1/allAlgoOrders", (500, {}))
    (told,) = await until_told(usdm.resolve)
    assert isinstance(told, AccountResumed)


async def test_without_a_backstop_at_rest_an_order_by_hand_is_told_at_once(usdm):
    usdm.read(algo_update("NEW"))
    usdm.read(algo_update("CANCELED"))
    (filled,) = usdm.read(usdm_update(c="web_1", i=96)).events
    assert filled.fill.client_order_id == "web_1"


async def test_a_backstop_on_its_way_to_the_book_tells_nothing_yet(usdm):
    assert usdm.read(algo_update("TRIGGERING")).events == ()


# The listen key


class Stream:
    """Takes note of restarts."""

    def __init__(self):
        self.restarted = asyncio.get_running_loop().create_future()

    def restart(self, cause):
        if not self.restarted.done():
            self.restarted.set_result(cause)


async def test_the_listen_key_is_renewed_and_a_lost_one_opens_a_new_session(
    usdm, venue, monkeypatch
):
    monkeypatch.setattr(stream_usdm, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(stream_usdm, "RENEW_AGAIN_SECONDS", 0.01)
    gone = (400, error(-1125, "This listenKey does not exist."))
    venue.answer("put /fapi/v1/listenKey", {}, (500, {}), gone)
    stream = Stream()
    running = asyncio.create_task(usdm.renew(stream))
    async with asyncio.timeout(5):
        assert await stream.restarted == "the listen key is gone"
    running.cancel()
    assert len(venue.of("put /fapi/v1/listenKey")) >= 3
