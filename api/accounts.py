"""The accounts behind the guard: play money in this process, or the venue's own."""

from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Protocol

from api.wiring import PAPER_QUOTES, fee_rates, margin_mode, venue_rules, venue_urls
from engine.flow import Flow
from engine.model.errors import Misconfigured
from engine.model.instrument import Instrument, InstrumentId
from engine.model.ticks import PriceSource, Tick
from engine.ports import Broker, Clock, Feed, TickSink
from engine.settings import Confirmation, Settings, TradingMode
from engine.simulator.paper import PaperBroker
from engine.simulator.paper_store import PaperStore
from engine.venues.broker import VenueBroker
from engine.venues.catalog import Catalog
from engine.venues.registry import build_account


class Account(Broker, Protocol):
    """A broker that ends in an orderly way."""

    async def drain(self) -> None:
        """Tell what is left, in bounded time, after ``run`` ended."""


def build_accounts(
    settings: Settings, clock: Clock, flow: Flow, catalog: Catalog, closing: AsyncExitStack
) -> dict[str, Account]:
    """Build the account of every venue; on paper no venue's account is ever asked."""
    if settings.trading_mode is TradingMode.PAPER:
        return {venue: _paper(settings, venue, clock, flow, closing) for venue in settings.venues}
    return {
        venue: _of_venue(settings, venue, clock, flow, catalog, closing)
        for venue in settings.venues
    }


def _paper(
    settings: Settings, venue: str, clock: Clock, flow: Flow, closing: AsyncExitStack
) -> PaperBroker:
    store = PaperStore(settings.data_dir / "paper.sqlite", venue)
    closing.callback(store.close)
    opening = dict.fromkeys(PAPER_QUOTES, settings.paper_balance)
    return PaperBroker(store, venue_rules(settings, venue), opening, clock, flow.handle)


def _of_venue(
    settings: Settings,
    venue: str,
    clock: Clock,
    flow: Flow,
    catalog: Catalog,
    closing: AsyncExitStack,
) -> VenueBroker:
    key, secret = _keys(settings, venue)
    account = build_account(
        venue,
        venue_urls(settings, venue),
        key,
        secret,
        clock,
        catalog.lookup,
        leverage=settings.leverage,
        margin_mode=margin_mode(settings),
    )
    broker = VenueBroker(
        account,
        clock,
        flow.handle,
        risky_allowed=settings.allow_risky_keys is Confirmation.YES,
        fee_rates=fee_rates(venue),
        on_refreshed=catalog.put,
    )
    closing.push_async_callback(broker.close)
    return broker


def _keys(settings: Settings, venue: str) -> tuple[str, str]:
    key, secret = (getattr(settings, f"{venue}_api_{part}") for part in ("key", "secret"))
    if key is None or secret is None:
        names = f"{venue.upper()}_API_KEY and {venue.upper()}_API_SECRET"
        raise Misconfigured(f"TRADING_MODE={settings.trading_mode} needs {names}: set both")
    return key.get_secret_value(), secret.get_secret_value()


def is_known(account: Account) -> bool:
    """Tell whether it was told what the account holds; play money is known from the start."""
    return not isinstance(account, VenueBroker) or account.is_read


def priced(account: Account, feed: Feed, settings: Settings) -> Feed:
    """Return the feed that the guard watches: on paper it gives play money to what is watched."""
    if isinstance(account, PaperBroker):
        return _Crediting(feed, account, settings.paper_balance)
    return feed


def ticks_of(flow: Flow, account: Account) -> TickSink:
    """Return where a venue's prices go."""
    return guard_then_account(flow, account) if isinstance(account, PaperBroker) else flow.on_tick


def guard_then_account(flow: Flow, account: PaperBroker) -> TickSink:
    """The guard sees a price first; the paper account matches its orders against it after."""
    guard_sees, account_sees = flow.on_tick, account.on_tick

    def see(tick: Tick) -> None:
        guard_sees(tick)
        account_sees(tick)

    return see


class _Crediting:
    """A feed whose watched instruments find play money in their quote asset."""

    def __init__(self, feed: Feed, account: PaperBroker, amount: Decimal) -> None:
        self.venue = feed.venue
        self._feed = feed
        self._account = account
        self._amount = amount

    def watch(self, instrument: Instrument) -> None:
        self._account.credit(instrument.quote, self._amount)
        self._feed.watch(instrument)

    def unwatch(self, instrument: InstrumentId) -> None:
        self._feed.unwatch(instrument)

    def check(self, instrument: Instrument) -> None:
        self._feed.check(instrument)

    def fetch_missed(self, instrument: Instrument, source: PriceSource, since_ms: int) -> None:
        self._feed.fetch_missed(instrument, source, since_ms)

    async def run(self) -> None:
        await self._feed.run()
