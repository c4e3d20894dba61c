"""What Binance tells of a key and its account, for ``tickguard doctor``."""

from decimal import Decimal

from engine.clock import NS_PER_MS
from engine.model.events import Balance
from engine.model.instrument import Market
from engine.model.money import HUNDRED, plain
from engine.venues.account import AccountFacts, Outcome, RequestFailed
from engine.venues.binance.account_spot import SpotSide, not_permitted
from engine.venues.binance.account_usdm import UsdmSide
from engine.venues.binance.client import MarketRest
from engine.venues.binance.parse import CommissionRate, KeyRights

RIGHTS_PATH = "/sapi/v1/account/apiRestrictions"
FEE_SYMBOL = "BTCUSDT"
"""USD-M tells fees by symbol; the tier is the account's."""

SILENT = frozenset({Outcome.WAIT, Outcome.RETRY})


async def examine(spot: SpotSide, usdm: UsdmSide) -> AccountFacts:
    """Put together what the account tells, after both markets were asked whether the key may.

    Raises:
        RequestFailed: it could not be asked.
    """
    notes = list[str]()
    rights = await _rights(spot.rest, notes)
    may_trade = _may_trade(spot, usdm, rights, notes)
    balances, fees = list[tuple[str, str, str]](), list[tuple[str, str]]()
    if spot.permitted.is_set() and spot.account is not None:
        balances += [_shown("spot", each) for each in await spot.balances()]
        fees.append(("spot", _percent(spot.account.commission_rates.taker)))
        if not spot.account.can_trade:
            notes.append("Binance lets this account not trade on spot: see its notices")
    if usdm.permitted.is_set():
        balances += [_shown("futures", each) for each in await usdm.balances()]
        params = {"symbol": FEE_SYMBOL}
        told = await usdm.rest.get("/fapi/v1/commissionRate", params, CommissionRate)
        fees.append(("linear", _percent(told.taker_commission_rate)))
    slowest = max(spot.rest, usdm.rest, key=lambda rest: abs(rest.offset_ms))
    expires_ms = rights.trading_authority_expiration_time if rights else None
    return AccountFacts(
        offset_ms=float(slowest.offset_ms),
        round_trip_ms=slowest.round_trip_ns / NS_PER_MS,
        may_trade=may_trade,
        may_withdraw=rights is not None and rights.enable_withdrawals,
        may_transfer=rights is not None
        and (rights.enable_internal_transfer or rights.permits_universal_transfer),
        bound_to_ip=rights is not None and rights.ip_restrict,
        hedged=usdm.hedged if usdm.permitted.is_set() else None,
        expires_at_ns=expires_ms * NS_PER_MS if expires_ms else None,
        balances=tuple(balances),
        taker_fees=tuple(fees),
        notes=tuple(notes),
    )


async def _rights(rest: MarketRest, notes: list[str]) -> KeyRights | None:
    """Ask what the key may do; None where the venue does not tell (testnet and demo)."""
    try:
        return await rest.get(RIGHTS_PATH, {}, KeyRights)
    except RequestFailed as error:
        if not error.code or error.verdict.outcome in SILENT:
            raise
        notes.append(
            "Binance did not tell whether the key may withdraw or transfer, nor whether it is "
            "bound to addresses (its testnet and demo never do)"
        )
        return None


def _may_trade(
    spot: SpotSide, usdm: UsdmSide, rights: KeyRights | None, notes: list[str]
) -> tuple[Market, ...]:
    found = list[Market]()
    granted = {
        Market.SPOT: rights is None or rights.enable_spot_and_margin_trading,
        Market.LINEAR: rights is None or rights.enable_futures,
    }
    for side in (spot, usdm):
        market = side.rest.market
        if side.permitted.is_set() and granted[market]:
            found.append(market)
        else:
            notes.append(str(not_permitted(market)))
    return tuple(found)


def _shown(wallet: str, balance: Balance) -> tuple[str, str, str]:
    return wallet, balance.asset, plain(balance.total)


def _percent(rate: Decimal) -> str:
    return plain(rate * HUNDRED)
