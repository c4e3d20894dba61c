"""Asking everything outside, side by side; each answer becomes lines of the report."""

import asyncio

from api.doctor.findings import Finding, Grade, of_account, of_failure
from api.doctor.reach import examine_addresses
from api.doctor.telegram import examine_token
from api.wiring import venue_urls
from engine.model.instrument import Instrument, Market
from engine.ports import Clock
from engine.settings import Confirmation, Settings
from engine.venues.account import RequestFailed
from engine.venues.registry import build_account

LONGEST_S = 30.0
"""Of all that is asked of one venue's account."""


async def examine(
    settings: Settings, clock: Clock, token: str | None, telegram_url: str
) -> list[Finding]:
    """Examine each venue and Telegram's token; in the order of ``VENUES``, Telegram last."""
    parts = [_venue(settings, venue, clock) for venue in settings.venues]
    *of_venues, of_telegram = await asyncio.gather(*parts, _telegram(settings, token, telegram_url))
    return [finding for part in (*of_venues, of_telegram) for finding in part]


async def _telegram(settings: Settings, token: str | None, url: str) -> list[Finding]:
    if not settings.enable_telegram_notifications:
        return []
    return [await examine_token(token, url)]


async def _venue(settings: Settings, venue: str, clock: Clock) -> list[Finding]:
    keys = _keys(settings, venue)
    if keys is None:
        unused = Finding(venue, "key", Grade.OK, "none is set, and paper needs none")
        return [*await examine_addresses(venue, venue_urls(settings, venue), clock), unused]
    account = build_account(
        venue, venue_urls(settings, venue), *keys, clock, _unlisted, leverage=settings.leverage
    )
    risky_allowed = settings.allow_risky_keys is Confirmation.YES
    try:
        async with asyncio.timeout(LONGEST_S):
            await account.open()
            facts = await account.examine()
    except RequestFailed as error:
        return list(of_failure(venue, error))
    except TimeoutError:
        remedy = "check the connection and the venue's status page, then try again"
        detail = f"no answer within {LONGEST_S:.0f} s"
        return [Finding(venue, "reachable", Grade.BAD, detail, remedy)]
    finally:
        await account.close()
    now_ns = clock.now_ns()
    return list(of_account(venue, facts, now_ns=now_ns, risky_allowed=risky_allowed))


def _keys(settings: Settings, venue: str) -> tuple[str, str] | None:
    key = getattr(settings, f"{venue}_api_key")
    secret = getattr(settings, f"{venue}_api_secret")
    if key is None or secret is None:
        return None
    return key.get_secret_value(), secret.get_secret_value()


def _unlisted(_venue: str, _market: Market, _symbol: str) -> Instrument | None:
    """No instrument is needed to examine a key."""
    return None
