"""What Bybit tells of a key and its account, for ``tickguard doctor``.

Source: the v5 documentation, "Get API Key Information", "Get Account Info", "Get Fee Rate".
"""

from datetime import UTC, datetime

from engine.clock import from_datetime
from engine.model.instrument import Market
from engine.model.money import HUNDRED, ZERO, plain
from engine.venues.account import AccountFacts
from engine.venues.bybit.account_reading import PROBE_SYMBOL, Reading
from engine.venues.bybit.client import BybitClient
from engine.venues.bybit.client_budgets import ACCOUNT, FEES, KEY, WALLET
from engine.venues.bybit.client_clock import NS_PER_MS
from engine.venues.bybit.parse import AccountInfo, FeeRow, KeyInfo, Rows, WalletRow
from engine.venues.bybit.parse_events import number

CLASSIC = 1
WALLET_NAME = "unified"

MARGIN_MODES = {
    "ISOLATED_MARGIN": "isolated",
    "REGULAR_MARGIN": "cross",
    "PORTFOLIO_MARGIN": "portfolio",
}
"""``marginMode`` in our own words."""


def may_trade(key: KeyInfo) -> tuple[Market, ...]:
    """Tell the markets on which a key may place orders."""
    if key.read_only:
        return ()
    contracts = key.permissions.get("ContractTrade", ())
    linear = "Order" in contracts or "DerivativesTrade" in key.permissions.get("Derivatives", ())
    spot = "SpotTrade" in key.permissions.get("Spot", ())
    return (*((Market.SPOT,) if spot else ()), *((Market.LINEAR,) if linear else ()))


def may_withdraw(key: KeyInfo) -> bool:
    """Tell whether a key may send money away."""
    return "Withdraw" in key.permissions.get("Wallet", ())


def may_transfer(key: KeyInfo) -> bool:
    """Tell whether a key may move money between accounts."""
    return any("Transfer" in name for name in key.permissions.get("Wallet", ()))


def is_bound(key: KeyInfo) -> bool:
    """Tell whether a key is taken from named addresses only."""
    return bool(key.ips) and "*" not in key.ips


def expires_at_ns(key: KeyInfo) -> int | None:
    """Tell when a key expires, UTC; None where it does not, or the venue does not say."""
    try:
        moment = datetime.fromisoformat(key.expired_at)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return from_datetime(moment) or None


def notes(key: KeyInfo, account: AccountInfo) -> tuple[str, ...]:
    """Say what else the owner should know."""
    mode = MARGIN_MODES.get(account.margin_mode, account.margin_mode)
    told = [f"The account's margin mode is {mode}."]
    if account.unified_margin_status == CLASSIC:
        told.append("The account is a classic one: upgrade it to a unified trading account.")
    if key.read_only:
        told.append("The key may only read: make one that may read and write.")
    return tuple(told)


async def examine(client: BybitClient, reading: Reading) -> AccountFacts:
    """Ask all that ``AccountFacts`` holds.

    Raises:
        RequestFailed: the venue refused, or did not answer.
    """
    await client.set_clock()
    offset_ms, round_trip_ms = client.time.ahead_ms(), client.time.round_trip_ns / NS_PER_MS
    key: KeyInfo = await client.ask(KEY, {})
    account: AccountInfo = await client.ask(ACCOUNT, {})
    wallets: Rows[WalletRow] = await client.ask(WALLET, {"accountType": "UNIFIED"})
    return AccountFacts(
        offset_ms=offset_ms,
        round_trip_ms=round_trip_ms,
        may_trade=may_trade(key),
        may_withdraw=may_withdraw(key),
        may_transfer=may_transfer(key),
        bound_to_ip=is_bound(key),
        hedged=await reading.probe(PROBE_SYMBOL),
        expires_at_ns=expires_at_ns(key),
        balances=_balances(wallets.rows),
        taker_fees=tuple([(str(market), await _taker_fee(client, market)) for market in Market]),
        notes=notes(key, account),
    )


def _balances(wallets: list[WalletRow]) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (WALLET_NAME, coin.coin, plain(total))
        for wallet in wallets
        for coin in wallet.coin
        if (total := number(coin.wallet_balance)) != ZERO
    )


async def _taker_fee(client: BybitClient, market: Market) -> str:
    params = {"category": str(market), "symbol": PROBE_SYMBOL}
    fees: Rows[FeeRow] = await client.ask(FEES, params)
    return plain(number(fees.rows[0].taker_fee_rate) * HUNDRED) if fees.rows else ""
