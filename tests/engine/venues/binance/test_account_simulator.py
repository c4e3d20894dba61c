"""The adapter against the local exchange: real library, real sockets, faults on purpose."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from engine.clock import SystemClock
from engine.model.events import AccountReported, AccountResumed, OrderFilled, OrderUpdated
from engine.model.exits import Side
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, InstrumentId, Market
from engine.model.order import FillKind, Order, OrderSide, OrderStatus
from engine.venues.account import Outcome, RequestFailed
from engine.venues.binance.account import BinanceAccount
from engine.venues.urls import BinanceUrls
from tests.engine.simulator.rig import Rig, quiet
from tests.engine.venues.binance.orders import backstop, close, entry, failure
from tests.engine.venues.binance.test_account_run import Told
from tests.engine.venues.binance.venue import LINEAR, SPOT

PATHS = {Market.SPOT: "/api/v3/order", Market.LINEAR: "/fapi/v1/order"}
BOTH = pytest.mark.parametrize("instrument", [SPOT, LINEAR], ids=str)


@dataclass
class Venue:
    """The simulator, and the account on it."""

    rig: Rig
    account: BinanceAccount

    async def control(self, **body: object) -> None:
        answer = await self.rig.ask("account", {"venue": "binance", **body})
        assert answer.status_code == 200, answer.text

    async def placed(self, order: Order) -> list[object]:
        return list(await self.account.place(order, lambda _: None))

    async def count(self, market: Market, name: str) -> int:
        """How many orders the venue has under a client id."""
        url = f"{self.rig.server.control_url}/account"
        answer = await self.rig.http.get(url, params={"venue": "binance", "market": market.value})
        orders = [row["record"]["order"] for row in answer.json()["orders"]]
        return sum(order["client_order_id"] == name for order in orders)

    @asynccontextmanager
    async def running(self):
        told = Told()
        task = asyncio.create_task(self.account.run(told))
        await told.count(AccountResumed, 2)
        yield told
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def venue(tmp_path: Path):
    async with quiet(tmp_path) as rig:
        for market in ("spot", "linear"):
            await rig.price(f"binance:{market}:BTCUSDT", 50_000)
        urls, keys = rig.server.urls, rig.server.keys["binance"]
        known = {each.id: each for each in (SPOT, LINEAR)}

        def lookup(name: str, market: Market, symbol: str) -> Instrument | None:
            return known.get(InstrumentId(name, market, symbol))

        account = BinanceAccount(
            BinanceUrls(
                spot_rest=urls["BINANCE_SPOT_REST_URL"],
                spot_ws=urls["BINANCE_SPOT_WS_URL"],
                spot_ws_api=urls["BINANCE_SPOT_WS_API_URL"],
                usdm_rest=urls["BINANCE_USDM_REST_URL"],
                usdm_ws=urls["BINANCE_USDM_WS_URL"],
            ),
            keys["key"],
            keys["secret"],
            SystemClock(),
            lookup,
            leverage=3,
            margin_mode="isolated",
        )
        await account.open()
        yield Venue(rig, account)
        await account.close()


async def settled(venue: Venue, order: Order) -> OrderStatus | None:
    """Look an order up until it is final."""
    async with asyncio.timeout(5):
        while True:
            found = await venue.account.find(order)
            if found.status in {OrderStatus.FILLED, OrderStatus.CANCELLED}:
                return found.status
            await asyncio.sleep(0.05)


@BOTH
async def test_a_position_lives_from_entry_to_close(venue, instrument):
    account = venue.account
    await account.prepare(instrument, is_alone=True)
    events = await venue.placed(entry(instrument))
    assert await settled(venue, entry(instrument)) is OrderStatus.FILLED
    found = await account.find(entry(instrument))
    assert sum(fill.qty for fill in found.fills) == entry(instrument).qty
    assert {fill.fee_asset for fill in found.fills} == {"BTC" if instrument is SPOT else "USDT"}
    *told, report = await account.read([SPOT, LINEAR])
    assert isinstance(report, AccountReported)
    ours = [each.fill for each in told if isinstance(each, OrderFilled)]
    assert {fill.client_order_id for fill in ours} == {entry(instrument).client_order_id}
    held = account.positions()
    assert [each.side for each in held] == ([Side.LONG] if instrument is LINEAR else [])
    assert isinstance(events[-1], OrderUpdated)
    out = close(instrument)
    if instrument is SPOT:
        out = _smaller(out, "0.00999")
    await venue.placed(out)
    assert await settled(venue, out) is OrderStatus.FILLED


def _smaller(order: Order, qty: str) -> Order:
    from msgspec.structs import replace

    return replace(order, qty=Decimal(qty))


@BOTH
async def test_an_order_whose_answer_was_lost_is_found_and_was_placed_once(venue, instrument):
    await venue.rig.fault("drop_reply", venue="binance", path=PATHS[instrument.id.market], count=1)
    lost = await failure(venue.account.place(entry(instrument), lambda _: None))
    assert lost.verdict.outcome is Outcome.UNKNOWN
    assert await settled(venue, entry(instrument)) is OrderStatus.FILLED
    assert await venue.count(instrument.id.market, entry(instrument).client_order_id) == 1


@BOTH
@pytest.mark.parametrize("kind", ["error_before", "error_after"])
async def test_a_server_error_says_nothing_and_a_look_up_all(venue, instrument, kind):
    await venue.rig.fault(kind, venue="binance", path=PATHS[instrument.id.market], count=1)
    lost = await failure(venue.account.place(entry(instrument), lambda _: None))
    assert lost.verdict.outcome is Outcome.UNKNOWN
    if kind == "error_before":
        assert (await venue.account.find(entry(instrument))).found is False
    else:
        assert await settled(venue, entry(instrument)) is OrderStatus.FILLED


@BOTH
@pytest.mark.parametrize("kind", ["rate_limit", "ban"])
async def test_a_limit_or_a_ban_ends_all_requests_for_its_time(venue, instrument, kind):
    await venue.rig.fault(kind, venue="binance", market=instrument.id.market.value, count=1)
    first = await failure(venue.account.place(entry(instrument), lambda _: None))
    assert first.verdict.outcome is Outcome.WAIT
    assert first.verdict.wait_ns > 0
    second = await failure(venue.account.place(entry(instrument), lambda _: None))
    assert second.verdict.outcome is Outcome.WAIT
    assert await venue.count(instrument.id.market, entry(instrument).client_order_id) == 0


@BOTH
async def test_a_clock_that_went_off_is_set_and_the_order_taken(venue, instrument):
    await venue.rig.fault("skew", venue="binance", skew_ms=-30_000)
    refused = await failure(venue.account.place(entry(instrument), lambda _: None))
    assert refused.verdict.outcome is Outcome.RETRY
    await venue.placed(entry(instrument))
    assert await settled(venue, entry(instrument)) is OrderStatus.FILLED


async def test_both_streams_tell_fills_and_positions(venue):
    async with venue.running() as told:
        for instrument in (SPOT, LINEAR):
            await venue.placed(entry(instrument))
        fills = [each.fill for each in await told.count(OrderFilled, 2)]
    assert {fill.instrument.id.market for fill in fills} == set(Market)
    assert venue.account.positions()[0].qty == entry(LINEAR).qty


async def test_an_id_is_taken_again_after_its_fill_and_both_orders_are_told(venue):
    for _ in range(2):
        await venue.placed(entry(LINEAR))
        await settled(venue, entry(LINEAR))
    found = await venue.account.find(entry(LINEAR))
    assert found.qty == 2 * entry(LINEAR).qty
    assert found.message == "2 orders under one id"


async def test_a_backstop_is_placed_found_and_cancelled(venue):
    await venue.placed(entry(LINEAR))
    await venue.placed(backstop(LINEAR))
    assert (await venue.account.find(backstop(LINEAR))).status is OrderStatus.ACKNOWLEDGED
    (ended,) = await venue.account.cancel(backstop(LINEAR))
    assert ended.status is OrderStatus.CANCELLED
    assert (await venue.account.find(backstop(LINEAR))).status is OrderStatus.CANCELLED


async def test_a_backstop_that_triggers_is_told_under_its_id(venue):
    async with venue.running() as told:
        await venue.account.prepare(LINEAR, is_alone=True)  # else it is liquidated before
        await venue.placed(entry(LINEAR))
        await told.count(OrderFilled, 1)
        await venue.placed(backstop(LINEAR))
        await venue.rig.price("binance:linear:BTCUSDT", 39_000)
        fills = [each.fill for each in await told.count(OrderFilled, 2)]
    assert fills[-1].client_order_id == backstop(LINEAR).client_order_id
    found = await venue.account.find(backstop(LINEAR))
    assert found.status is OrderStatus.FILLED
    assert {fill.venue_trade_id for fill in found.fills} <= {fill.venue_trade_id for fill in fills}


async def test_a_spot_backstop_is_placed_and_cancelled_before_a_close(venue):
    await venue.placed(entry(SPOT))
    stop = _smaller(backstop(SPOT), "0.00999")
    await venue.placed(stop)
    ended = list(await venue.account.cancel(stop))
    assert ended[-1].status is OrderStatus.CANCELLED


async def test_hedge_mode_is_detected_and_served(venue):
    await venue.control(market="linear", action="hedge_mode", hedged=True)
    await venue.account.open()
    await venue.placed(entry(LINEAR))
    await settled(venue, entry(LINEAR))
    *_, report = await venue.account.read([LINEAR])
    assert report.hedged
    await venue.placed(close(LINEAR))
    assert await settled(venue, close(LINEAR)) is OrderStatus.FILLED


async def test_a_liquidation_is_told_as_one(venue):
    await venue.placed(entry(LINEAR))
    await settled(venue, entry(LINEAR))
    await venue.control(market="linear", action="liquidate", symbol="BTCUSDT")
    async with asyncio.timeout(5):
        while True:
            events = await venue.account.read([LINEAR])
            kinds = {each.fill.kind for each in events if isinstance(each, OrderFilled)}
            if FillKind.LIQUIDATION in kinds:
                break
            await asyncio.sleep(0.1)


async def test_funding_is_told_from_the_income(venue):
    await venue.placed(entry(LINEAR))
    await settled(venue, entry(LINEAR))
    await venue.control(market="linear", action="fund", symbol="BTCUSDT", rate="0.001")
    events = await venue.account.read([LINEAR])
    paid = [each for each in events if type(each).__name__ == "FundingPaid"]
    assert [each.amount for each in paid] == [Decimal("0.5")]


async def test_a_key_without_futures_trades_spot(venue):
    await venue.control(action="permissions", key={"trade_linear": False})
    await venue.account.open()
    with pytest.raises(RequestFailed, match="Futures"):
        await venue.placed(entry(LINEAR))
    await venue.placed(entry(SPOT))
    facts = await venue.account.examine()
    assert facts.may_trade == (Market.SPOT,)


async def test_leverage_and_margin_are_set_before_an_entry(venue):
    await venue.account.prepare(LINEAR, is_alone=True)
    config = await venue.account.usdm._config("BTCUSDT")
    assert (config.leverage, config.margin_type) == (3, "ISOLATED")
    await venue.account.prepare(LINEAR, is_alone=True)


async def test_the_key_is_examined(venue):
    facts = await venue.account.examine()
    assert facts.may_trade == (Market.SPOT, Market.LINEAR)
    assert not facts.may_withdraw
    assert facts.hedged is False
    assert {wallet for wallet, _, _ in facts.balances} == {"spot", "futures"}
    assert OrderSide.BUY is entry(SPOT).side
    assert entry(SPOT).purpose is Purpose.ENTRY
