"""Which account stands behind the guard, by trading mode."""

from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from api import accounts
from api.accounts import build_accounts, is_known, priced, ticks_of
from engine.clock import SystemClock
from engine.model.errors import Misconfigured
from engine.model.instrument import Instrument, Market
from engine.model.ticks import TradeTick
from engine.settings import Confirmation, MarginMode, Settings, TradingMode
from engine.simulator.paper import PaperBroker
from engine.venues.broker import VenueBroker
from tests.engine.venues.accounts import ScriptedAccount
from tests.engine.venues.frames import instrument

KEYS = {
    f"{venue}_api_{part}": SecretStr(f"{venue} {part}")
    for venue in ("bybit", "binance")
    for part in ("key", "secret")
}
BTC = instrument("bybit", Market.SPOT, "BTCUSDT")


class Core:
    """The part of the flow that accounts are given."""

    def __init__(self) -> None:
        self.ticks: list[Any] = []

    def handle(self, event: object) -> None:
        raise AssertionError(f"nothing runs yet: {event}")

    def on_tick(self, tick: TradeTick) -> None:
        self.ticks.append(tick)


class Lists:
    """The part of the catalogue that accounts are given."""

    def lookup(self, venue: str, market: Market, symbol: str) -> Instrument | None:
        raise AssertionError("nothing runs yet")

    def put(self, fresh: Instrument) -> None:
        raise AssertionError("nothing runs yet")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What accounts of venues are built from, in order; scripted ones are built instead."""
    calls: list[tuple[Any, dict[str, Any]]] = []

    def build(*given: Any, **named: Any) -> ScriptedAccount:
        calls.append((given, named))
        return ScriptedAccount()

    monkeypatch.setattr(accounts, "build_account", build)
    return calls


async def build(settings: Settings, closing: AsyncExitStack) -> dict[str, Any]:
    core: Any = Core()
    lists: Any = Lists()
    return dict(build_accounts(settings, SystemClock(), core, lists, closing))


async def test_on_paper_no_venue_s_account_is_built_or_asked_though_there_are_keys(
    tmp_path: Path, built: list[Any]
) -> None:
    async with AsyncExitStack() as closing:
        made = await build(Settings(data_dir=tmp_path, **KEYS), closing)
        assert [type(each) for each in made.values()] == [PaperBroker, PaperBroker]
    assert built == []


@pytest.mark.parametrize("mode", ["demo", "testnet", "live"])
async def test_elsewhere_each_venue_s_own_account_is_built_by_its_keys(
    tmp_path: Path, built: list[Any], mode: str
) -> None:
    settings = Settings(data_dir=tmp_path, trading_mode=TradingMode(mode), leverage=3, **KEYS)
    async with AsyncExitStack() as closing:
        made = await build(settings, closing)
        assert [type(each) for each in made.values()] == [VenueBroker, VenueBroker]
    assert [given[0] for given, _ in built] == ["bybit", "binance"]
    assert [given[2:4] for given, _ in built] == [
        ("bybit key", "bybit secret"),
        ("binance key", "binance secret"),
    ]
    assert all(named == {"leverage": 3, "margin_mode": None} for _, named in built)
    assert not (tmp_path / "paper.sqlite").exists()


async def test_the_margin_mode_is_changed_only_if_it_is_named(
    tmp_path: Path, built: list[Any]
) -> None:
    for mode in MarginMode:
        settings = Settings(
            data_dir=tmp_path, trading_mode=TradingMode.DEMO, margin_mode=mode, **KEYS
        )
        async with AsyncExitStack() as closing:
            await build(settings, closing)
    assert [named["margin_mode"] for _, named in built] == ["isolated"] * 2 + ["cross"] * 2


async def test_accounts_are_closed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = ScriptedAccount()
    monkeypatch.setattr(accounts, "build_account", lambda *_, **__: account)
    settings = Settings(data_dir=tmp_path, trading_mode=TradingMode.DEMO, venues=("bybit",), **KEYS)
    async with AsyncExitStack() as closing:
        await build(settings, closing)
        assert account.closed == 0
    assert account.closed == 1


async def test_a_venue_without_keys_is_named(tmp_path: Path) -> None:
    keys = {name: value for name, value in KEYS.items() if name != "binance_api_secret"}
    settings = Settings(data_dir=tmp_path, trading_mode=TradingMode.DEMO, **keys)
    async with AsyncExitStack() as closing:
        with pytest.raises(Misconfigured, match="BINANCE_API_KEY and BINANCE_API_SECRET"):
            await build(settings, closing)


async def test_the_owner_may_mean_a_risky_key(
    tmp_path: Path, built: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: list[bool] = []

    def make(*given: Any, risky_allowed: bool, **named: Any) -> VenueBroker:
        allowed.append(risky_allowed)
        return VenueBroker(*given, risky_allowed=risky_allowed, **named)

    monkeypatch.setattr(accounts, "VenueBroker", make)
    for choice in Confirmation:
        settings = Settings(
            data_dir=tmp_path,
            trading_mode=TradingMode.DEMO,
            venues=("bybit",),
            allow_risky_keys=choice,
            **KEYS,
        )
        async with AsyncExitStack() as closing:
            await build(settings, closing)
    assert allowed == [choice is Confirmation.YES for choice in Confirmation]


async def test_only_play_money_is_matched_against_prices_and_given_away(
    tmp_path: Path, built: list[Any]
) -> None:
    core: Any = Core()
    feed: Any = SimpleNamespace(venue="bybit")
    settings = Settings(data_dir=tmp_path, trading_mode=TradingMode.DEMO, **KEYS)
    async with AsyncExitStack() as closing:
        made = await build(settings, closing)
        assert priced(made["bybit"], feed, settings) is feed
        assert ticks_of(core, made["bybit"]) == core.on_tick
    async with AsyncExitStack() as closing:
        made = await build(Settings(data_dir=tmp_path), closing)
        assert priced(made["bybit"], feed, settings) is not feed
        ticks_of(core, made["bybit"])(TradeTick(BTC.id, 1.0, 1, 1, 1))
        assert len(core.ticks) == 1


async def test_an_account_is_known_once_it_was_read(tmp_path: Path, built: list[Any]) -> None:
    settings = Settings(data_dir=tmp_path, trading_mode=TradingMode.DEMO, **KEYS)
    async with AsyncExitStack() as closing:
        made = (await build(settings, closing))["bybit"]
        assert not is_known(made)
        made.is_read = True
        assert is_known(made)
    async with AsyncExitStack() as closing:
        assert is_known((await build(Settings(data_dir=tmp_path), closing))["bybit"])
