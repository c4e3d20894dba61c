"""Binance's account, spot and USD-M: two wallets, two clocks, two streams, one interface.

A key may have the right to one of the markets only: the other one is then left alone, and orders
there are refused with what to do.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import structlog
from msgspec import Struct

from engine.model.events import (
    AccountReported,
    Balance,
    FundingPaid,
    OrderFilled,
    OrderLookedUp,
    VenuePosition,
)
from engine.model.ids import Purpose
from engine.model.instrument import Instrument, Market
from engine.model.order import Fill, Order
from engine.ports import BrokerEvent, Clock
from engine.venues.account import AccountFacts, RequestFailed, Sent
from engine.venues.account_stream import AccountStream
from engine.venues.binance.account_facts import examine
from engine.venues.binance.account_fees import FeeRates
from engine.venues.binance.account_spot import VENUE, SpotSide, not_permitted
from engine.venues.binance.account_usdm import UsdmSide
from engine.venues.binance.client import MarketRest
from engine.venues.binance.codes import NOT_SENT
from engine.venues.binance.stream import SpotDialect
from engine.venues.binance.stream_usdm import UsdmDialect
from engine.venues.catalog import Lookup
from engine.venues.pacing import urgency_of
from engine.venues.transport import Connector
from engine.venues.urls import BinanceUrls
from engine.venues.websockets_transport import WebsocketsConnector

WARM_SECONDS = 20.0
"""How often the time is asked for: it sets the clock and keeps a connection open for orders."""

RATES_SECONDS = 30.0

log = structlog.get_logger(__name__)


class _Reading(Struct, frozen=True):
    """What one market's half of a reading brought, and up to when (venue time, ms)."""

    balances: tuple[Balance, ...] = ()
    positions: tuple[VenuePosition, ...] = ()
    fills: tuple[Fill, ...] = ()
    funding: tuple[FundingPaid, ...] = ()
    until: Mapping[str, int] = {}
    funded_ms: int | None = None


class BinanceAccount:
    """Implements ``engine.venues.account.VenueAccount`` and ``Examined``.

    Args:
        lookup: finds instruments of executions that are not ours.
        leverage: set on an instrument before our first entry there.
        margin_mode: of an instrument; None leaves it as it is.
    """

    venue = VENUE

    def __init__(
        self,
        urls: BinanceUrls,
        key: str,
        secret: str,
        clock: Clock,
        lookup: Lookup,
        *,
        leverage: int = 1,
        margin_mode: Literal["isolated", "cross"] | None = None,
        connector: Connector | None = None,
    ) -> None:
        self._urls = urls
        self._clock = clock
        self._lookup = lookup
        self._connector = connector or WebsocketsConnector(clock.monotonic_ns)
        self._seen: dict[tuple[Market, str], Instrument] = {}
        spot = MarketRest(Market.SPOT, urls, key, secret, clock)
        usdm = MarketRest(Market.LINEAR, urls, key, secret, clock)
        self._fees = FeeRates(spot)
        self.spot = SpotSide(spot, self._fees, clock)
        self.usdm = UsdmSide(usdm, self._fees, clock, self._find, leverage, margin_mode)

    @property
    def _sides(self) -> tuple[SpotSide | UsdmSide, ...]:
        return self.spot, self.usdm

    async def open(self) -> None:
        """Set the clocks, and read the position mode and what the key may do.

        Raises:
            RequestFailed: a market could not be asked, or the key may use neither.
        """
        denied = [await side.open() for side in self._sides]
        if all(denied):
            raise denied[0] or denied[1] or not_permitted(Market.SPOT)
        for side, error in zip(self._sides, denied, strict=True):
            if error is not None:
                log.warning("binance.market_denied", market=side.rest.market, reason=str(error))

    async def close(self) -> None:
        """Give the sessions back."""
        for side in self._sides:
            await side.rest.close()

    async def prepare(self, instrument: Instrument, *, is_alone: bool) -> None:
        """Set leverage (and the margin mode, if told) on a linear instrument."""
        if instrument.id.market is Market.LINEAR:
            _check_permitted(self._side(instrument))
            await self.usdm.prepare(instrument, is_alone=is_alone)

    def begin(self, order: Order, sent: Sent) -> None:
        """Nothing is sent within a call: the library's requests belong to the loop."""

    async def place(self, order: Order, sent: Sent) -> Sequence[BrokerEvent]:
        """Send an order, once."""
        side = self._side(order.instrument)
        _check_permitted(side)
        return await side.place(order, sent)

    async def cancel(self, order: Order) -> Sequence[BrokerEvent]:
        """Cancel a resting order; one that is not open any more is looked up."""
        side = self._side(order.instrument)
        _check_permitted(side)
        if self._is_algo(order):
            return await self.usdm.backstops.cancel(order, urgency_of(order))
        return await side.orders.cancel(order, urgency_of(order))

    async def find(self, order: Order) -> OrderLookedUp:
        """Look up everything that stands under an order's id."""
        side = self._side(order.instrument)
        _check_permitted(side)
        if self._is_algo(order):
            return await self.usdm.backstops.find(order)
        return await side.orders.find(order)

    async def read(self, instruments: Sequence[Instrument]) -> Sequence[BrokerEvent]:
        """Read executions and settlements since the last reading, then the account.

        Positions and balances are asked for first, so that no execution they hold is missing.
        """
        as_of_ns = self._clock.monotonic_ns()
        for each in instruments:
            self._note(each)
        if not all(side.permitted.is_set() or side.is_denied for side in self._sides):
            # Without it a market would look empty, and empty means flat.
            raise RequestFailed(NOT_SENT, "what the key may use is not known yet")
        spot, usdm = await asyncio.gather(
            self._read_spot(instruments), self._read_usdm(instruments)
        )
        balances = spot.balances + usdm.balances
        self._want_rates(balances, instruments)
        # From here on nothing fails: what is noted as told is told.
        self.spot.orders.told(spot.until)
        self.usdm.orders.told(usdm.until)
        self.usdm.funding_told(usdm.funded_ms)
        now_ns = self._clock.now_ns()
        report = AccountReported(
            self.venue,
            usdm.positions,
            balances,
            now_ns,
            as_of_ns,
            hedged=bool(self.usdm.hedged),
        )
        fills = spot.fills + usdm.fills
        return (*(OrderFilled(fill, now_ns) for fill in fills), *usdm.funding, report)

    async def _read_spot(self, instruments: Sequence[Instrument]) -> _Reading:
        spot = self.spot
        if not spot.permitted.is_set():
            return _Reading()
        balances = await spot.balances()
        mine = [each for each in instruments if each.id.market is Market.SPOT]
        fills, until = await spot.orders.executions(mine)
        return _Reading(tuple(balances), fills=tuple(fills), until=until)

    async def _read_usdm(self, instruments: Sequence[Instrument]) -> _Reading:
        usdm = self.usdm
        if not usdm.permitted.is_set():
            return _Reading()
        await usdm.read_mode()
        positions = await usdm.read_positions()
        balances = await usdm.balances()
        mine = [each for each in instruments if each.id.market is Market.LINEAR]
        funding, funded_ms = await usdm.funding()
        fills, until = await usdm.executions(mine)
        return _Reading(
            tuple(balances), tuple(positions), tuple(fills), tuple(funding), until, funded_ms
        )

    def _want_rates(self, balances: Sequence[Balance], instruments: Sequence[Instrument]) -> None:
        """Fees are paid in BNB where there is any: its price is kept at hand."""
        if any(each.asset == "BNB" and each.total > 0 for each in balances):
            for instrument in instruments:
                if "BNB" not in {instrument.base, instrument.quote}:
                    self._fees.wanted.add(("BNB", instrument.quote))

    async def filters(self, instrument: Instrument) -> Instrument:
        """Read an instrument's filters as they are now."""
        return await self._side(instrument).filters(instrument)

    def positions(self) -> Sequence[VenuePosition]:
        """The venue's positions as last read or streamed."""
        return self.usdm.positions()

    async def examine(self) -> AccountFacts:
        """Ask about clock, key, mode, balances and fees."""
        await self.open()
        return await examine(self.spot, self.usdm)

    async def run(self, sink: Callable[[BrokerEvent], None]) -> None:
        """Keep clocks and streams alive until cancelled; a market not permitted waits for it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_spot(sink))
            group.create_task(self._run_usdm(sink))
            group.create_task(self._keep_rates())
            for side in self._sides:
                group.create_task(_keep_warm(side))

    async def _run_spot(self, sink: Callable[[BrokerEvent], None]) -> None:
        await self.spot.permitted.wait()
        dialect = SpotDialect(self._urls.spot_ws_api, self.spot, self._find, self._clock)
        await AccountStream(self.venue, dialect, self._connector, self._clock, sink).run()

    async def _run_usdm(self, sink: Callable[[BrokerEvent], None]) -> None:
        await self.usdm.permitted.wait()
        dialect = UsdmDialect(self._urls.usdm_ws, self.usdm, self._find, self._clock)
        stream = AccountStream(self.venue, dialect, self._connector, self._clock, sink)
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.run())
            group.create_task(dialect.renew(stream))
            group.create_task(dialect.resolve(sink))
            group.create_task(dialect.follow_wallet(sink))

    async def _keep_rates(self) -> None:
        while True:
            await self._fees.refresh()
            await asyncio.sleep(RATES_SECONDS)

    def _side(self, instrument: Instrument) -> SpotSide | UsdmSide:
        self._note(instrument)
        return self.spot if instrument.id.market is Market.SPOT else self.usdm

    def _is_algo(self, order: Order) -> bool:
        is_linear = order.instrument.id.market is Market.LINEAR
        return is_linear and order.purpose is Purpose.BACKSTOP

    def _note(self, instrument: Instrument) -> None:
        self._seen[instrument.id.market, instrument.id.symbol] = instrument

    def _find(self, venue: str, market: Market, symbol: str) -> Instrument | None:
        """Find an instrument: in the catalogue, else among those that we were asked about."""
        return self._lookup(venue, market, symbol) or self._seen.get((market, symbol))


def _check_permitted(side: SpotSide | UsdmSide) -> None:
    """Refuse here what the venue would: its refusal would be taken for one of the whole key."""
    if side.is_denied:
        raise not_permitted(side.rest.market)


async def _keep_warm(side: SpotSide | UsdmSide) -> None:
    while True:
        await asyncio.sleep(WARM_SECONDS)
        if side.permitted.is_set():
            try:
                await side.rest.sync()
            except RequestFailed as error:
                log.info("binance.clock_not_set", market=side.rest.market, reason=str(error))
