"""Binance's spot wallet and orders (spot documentation, "Trading endpoints", "Account endpoints").

A market order's full answer holds its executions. A backstop is a ``STOP_LOSS`` order: a market
order once the last price reaches ``stopPrice``; while it rests it locks what it would sell.
"""

import asyncio
from collections.abc import Sequence

from engine.clock import NS_PER_MS
from engine.model.events import Balance
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, Market
from engine.model.money import ZERO, plain
from engine.model.order import Fill, Order, Refusal
from engine.ports import BrokerEvent, Clock
from engine.venues.account import Outcome, RequestFailed, Sent, Urgency, Verdict
from engine.venues.binance import instruments
from engine.venues.binance.account_fees import FeeRates
from engine.venues.binance.account_orders import Orders
from engine.venues.binance.account_owners import OrderBook, Owners
from engine.venues.binance.account_trades import Trades, TradeSource
from engine.venues.binance.client import READ_SECONDS, MarketRest
from engine.venues.binance.codes import KEY_OR_PERMISSION
from engine.venues.binance.parse import OrderRow, SpotAccount, SpotTrade, order_status
from engine.venues.pacing import urgency_of

VENUE = instruments.VENUE
DAY_MS = 24 * 3_600_000
ORDER_PATH = "/api/v3/order"


def not_permitted(market: Market) -> RequestFailed:
    """Return the refusal of an order on a market that the key may not trade."""
    name = "Spot & Margin Trading" if market is Market.SPOT else "Futures"
    text = f'the API key may not trade {market}: enable "{name}" for it at Binance'
    return RequestFailed(Verdict(Outcome.REJECTED, Refusal.OTHER), text)


class SpotSide:
    """The spot half of the account.

    Attributes:
        permitted: set while the key may use this market.
        is_denied: the venue said that it may not.
        account: as last read.
    """

    def __init__(self, rest: MarketRest, fees: FeeRates, clock: Clock) -> None:
        self.rest = rest
        self.owners = Owners()
        self.permitted = asyncio.Event()
        self.is_denied = False
        self.account: SpotAccount | None = None
        source = TradeSource("/api/v3/myTrades", list[SpotTrade], DAY_MS)
        trades = Trades(rest, source, self.owners, fees)
        book = OrderBook(rest, "/api/v3")
        self.orders = Orders(rest, book, self.owners, trades, clock)
        self.fees = fees

    async def open(self) -> RequestFailed | None:
        """Set the clock and see whether the key may use the market; returns why it may not.

        Raises:
            RequestFailed: the venue could not be asked.
        """
        await self.rest.sync()
        try:
            await self.balances()
        except RequestFailed as error:
            if error.code not in KEY_OR_PERMISSION:
                raise
            self.is_denied = True
            self.permitted.clear()
            return error
        self.is_denied = False
        self.permitted.set()
        return None

    async def place(self, order: Order, sent: Sent) -> Sequence[BrokerEvent]:
        """Send an order, once."""
        params = {
            "symbol": order.instrument.id.symbol,
            "side": order.side.upper(),
            "type": "MARKET",
            "quantity": plain(order.qty),
            "newClientOrderId": order.client_order_id,
            "newOrderRespType": "FULL",
        }
        if order.purpose is Purpose.BACKSTOP:
            params |= {"type": "STOP_LOSS", "stopPrice": plain(order.trigger_price or ZERO)}
        row = await self.rest.send(
            "post", ORDER_PATH, params, OrderRow, urgency_of(order), sent=sent
        )
        fills = [await self._fill(order, row, number) for number in range(len(row.fills))]
        return self.orders.events(order.client_order_id, fills, order_status(row.status), row)

    async def _fill(self, order: Order, row: OrderRow, number: int) -> Fill:
        told = row.fills[number]
        return Fill(
            venue_trade_id=str(told.trade_id),
            instrument=order.instrument,
            side=order.side,
            qty=told.qty,
            price=told.price,
            fee=told.commission,
            fee_asset=told.commission_asset,
            time_ns=row.transact_time * NS_PER_MS,
            client_order_id=order.client_order_id,
            venue_order_id=str(row.order_id),
            fee_rate=await self.fees.at(order.instrument, told.commission_asset, row.transact_time),
        )

    async def balances(self) -> list[Balance]:
        """Read the wallet; assets that are not there are left out."""
        params = {"omitZeroBalances": "true"}
        self.account = await self.rest.get("/api/v3/account", params, SpotAccount)
        return [
            Balance(VENUE, row.asset, row.free + row.locked, row.free, row.locked, Market.SPOT)
            for row in self.account.balances
        ]

    async def filters(self, instrument: Instrument) -> Instrument:
        """Read an instrument's filters."""
        params = {"symbol": instrument.id.symbol}
        body = await self.rest.fetch(
            "get",
            instruments.SPOT_PATH,
            params,
            Urgency.LOOK_UP,
            signed=False,
            seconds=READ_SECONDS,
        )
        found, _ = instruments.parse(body, Market.SPOT)
        return picked(found, instrument)


def picked(found: Sequence[Instrument], instrument: Instrument) -> Instrument:
    """Return an instrument as it is in a list read anew.

    Raises:
        RequestFailed: it is not there any more.
    """
    for each in found:
        if each.id == instrument.id:
            return each
    verdict = Verdict(Outcome.REJECTED)
    raise RequestFailed(verdict, f"{instrument.id} is not listed at the venue")
