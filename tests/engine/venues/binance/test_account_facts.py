"""Settings before an entry, filters, and what is told of the key."""

from decimal import Decimal

import pytest

from engine.model.ids import Purpose
from engine.model.instrument import Market
from engine.venues.account import Outcome
from tests.engine.venues.binance.orders import failure
from tests.engine.venues.binance.replies import (
    spot_account,
    symbol_config,
    usdm_balances,
)
from tests.engine.venues.binance.venue import LINEAR, SPOT, error, order

NOT_PERMITTED = (401, error(-2015, "Invalid API-key, IP, or permissions for action."))
BACKSTOP = order(LINEAR, Purpose.BACKSTOP).client_order_id


@pytest.fixture
def venue(venue):
    """A venue with something in the wallet."""
    venue.answer("get /fapi/v3/balance", usdm_balances())
    return venue


# Settings before an entry


async def test_leverage_and_margin_are_set_and_read_back(account, venue):
    venue.answer("get /fapi/v1/symbolConfig", symbol_config(20), symbol_config(3, "ISOLATED"))
    venue.answer("post /fapi/v1/leverage", {"leverage": 3, "symbol": "BTCUSDT"})
    venue.answer("post /fapi/v1/marginType", {"code": 200, "msg": "success"})
    await account.prepare(LINEAR, is_alone=True)
    assert venue.of("post /fapi/v1/leverage")[0]["leverage"] == "3"
    assert venue.of("post /fapi/v1/marginType")[0]["marginType"] == "ISOLATED"
    assert len(venue.of("get /fapi/v1/symbolConfig")) == 2


async def test_a_margin_type_that_is_so_already_is_fine(account, venue):
    venue.answer("get /fapi/v1/symbolConfig", symbol_config(3), symbol_config(3, "ISOLATED"))
    refusal = (400, error(-4046, "No need to change margin type."))
    venue.answer("post /fapi/v1/marginType", refusal)
    await account.prepare(LINEAR, is_alone=True)
    assert venue.of("post /fapi/v1/leverage") == []


async def test_settings_that_are_so_already_are_left_alone(account, venue):
    venue.answer("get /fapi/v1/symbolConfig", symbol_config(3, "ISOLATED"))
    await account.prepare(LINEAR, is_alone=True)
    assert len(venue.asked) == 1


async def test_settings_that_did_not_take_refuse_the_entry(account, venue):
    venue.answer("get /fapi/v1/symbolConfig", symbol_config(20, "ISOLATED"))
    venue.answer("post /fapi/v1/leverage", {"leverage": 3, "symbol": "BTCUSDT"})
    refused = await failure(account.prepare(LINEAR, is_alone=True))
    assert "leverage is 20" in str(refused)


async def test_a_refused_margin_type_refuses_the_entry(account, venue):
    venue.answer("get /fapi/v1/symbolConfig", symbol_config(3))
    refusal = (400, error(-4168, "Unable to adjust to isolated-margin mode."))
    venue.answer("post /fapi/v1/marginType", refusal)
    assert (await failure(account.prepare(LINEAR, is_alone=True))).code == "-4168"


async def test_nothing_is_changed_beside_what_is_not_ours_nor_on_spot(account, venue):
    await account.prepare(LINEAR, is_alone=False)
    await account.prepare(SPOT, is_alone=True)
    assert venue.asked == []


async def test_settings_that_are_not_told_refuse_the_entry(account, venue):
    venue.answer("get /fapi/v1/symbolConfig", [])
    assert "not told" in str(await failure(account.prepare(LINEAR, is_alone=True)))


# What the doctor is told

RIGHTS = {
    "ipRestrict": True,
    "enableWithdrawals": True,
    "enableInternalTransfer": False,
    "permitsUniversalTransfer": True,
    "enableSpotAndMarginTrading": True,
    "enableFutures": True,
    "tradingAuthorityExpirationTime": 1_800_000_000_000,
}


async def test_the_key_is_told_with_its_rights_fees_and_balances(account, venue):
    venue.offset_ms = 2500
    venue.answer("get /sapi/v1/account/apiRestrictions", RIGHTS)
    venue.answer("get /fapi/v1/commissionRate", {"symbol": "B", "takerCommissionRate": "0.0004"})
    facts = await account.examine()
    assert facts.offset_ms == pytest.approx(2500, abs=300)
    assert facts.may_trade == (Market.SPOT, Market.LINEAR)
    assert (facts.may_withdraw, facts.may_transfer, facts.bound_to_ip) == (True, True, True)
    assert facts.hedged is False
    assert facts.expires_at_ns == 1_800_000_000_000_000_000
    assert facts.balances == (("spot", "USDT", "1000"), ("futures", "USDT", "1000"))
    assert facts.taker_fees == (("spot", "0.1"), ("linear", "0.04"))
    assert facts.notes == ()


async def test_a_right_that_the_key_lacks_is_a_note_with_its_remedy(account, venue):
    venue.answer("get /sapi/v1/account/apiRestrictions", {**RIGHTS, "enableFutures": False})
    venue.answer("get /fapi/v1/accountConfig", NOT_PERMITTED)
    facts = await account.examine()
    assert facts.may_trade == (Market.SPOT,)
    assert facts.hedged is None
    assert "Futures" in facts.notes[0]


async def test_a_venue_that_does_not_tell_rights_is_noted(account, venue):
    venue.answer("get /sapi/v1/account/apiRestrictions", (404, b"<html>"))
    venue.answer("get /fapi/v1/commissionRate", {"symbol": "B", "takerCommissionRate": "0.0004"})
    venue.answer("get /api/v3/account", spot_account(canTrade=False))
    facts = await account.examine()
    assert facts.may_trade == (Market.SPOT, Market.LINEAR)
    assert (facts.may_withdraw, facts.may_transfer, facts.bound_to_ip) == (False, False, False)
    assert "withdraw" in facts.notes[0]
    assert "not trade" in facts.notes[1]


async def test_rights_that_could_not_be_asked_are_no_facts(account, venue):
    venue.answer("get /sapi/v1/account/apiRestrictions", (429, error(-1003, "Too many requests")))
    assert (await failure(account.examine())).verdict.outcome is Outcome.WAIT


# Filters

FILTERS = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "contractType": "PERPETUAL",
    "marginAsset": "USDT",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.50"},
        {"filterType": "LOT_SIZE", "stepSize": "0.002", "minQty": "0.002", "maxQty": "9"},
        {"filterType": "MIN_NOTIONAL", "notional": "50", "minNotional": "50"},
    ],
}


@pytest.mark.parametrize(
    ("instrument", "path"), [(SPOT, "/api/v3/exchangeInfo"), (LINEAR, "/fapi/v1/exchangeInfo")]
)
async def test_filters_are_read_as_they_are_now(account, venue, instrument, path):
    venue.answer(f"get {path}", {"symbols": [FILTERS]})
    now = await account.filters(instrument)
    assert (now.id, now.qty_step, now.tick_size) == (
        instrument.id,
        Decimal("0.002"),
        Decimal("0.50"),
    )


async def test_an_instrument_that_is_not_listed_any_more_has_no_filters(account, venue):
    venue.answer("get /fapi/v1/exchangeInfo", {"symbols": []})
    assert (await failure(account.filters(LINEAR))).verdict.outcome is Outcome.REJECTED
