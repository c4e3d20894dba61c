"""Whether a venue's public addresses answer, and what time it is there; needs no key."""

from collections.abc import Mapping

import httpx
import msgspec
from msgspec import Struct

from api.doctor.findings import Finding, Grade, clock_finding
from engine.clock import NS_PER_MS
from engine.ports import Clock
from engine.venues.registry import BybitUrls, VenueUrls

TIMEOUT_S = 10.0


class _BinanceTime(Struct):
    serverTime: int  # noqa: N815 - the venue's name


class _BybitTime(Struct):
    time: int


def time_addresses(urls: VenueUrls) -> Mapping[str, str]:
    """Return the addresses that tell a venue's time, by what they serve."""
    if isinstance(urls, BybitUrls):
        return {"spot and linear": f"{urls.rest}/v5/market/time"}
    return {"spot": f"{urls.spot_rest}/api/v3/time", "linear": f"{urls.usdm_rest}/fapi/v1/time"}


async def examine_addresses(venue: str, urls: VenueUrls, clock: Clock) -> list[Finding]:
    """Ask each public address for the time."""
    kind = _BybitTime if isinstance(urls, BybitUrls) else _BinanceTime
    findings = []
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        for served, address in time_addresses(urls).items():
            findings += await _ask(client, f"{venue} {served}", address, kind, clock)
    return findings


async def _ask(
    client: httpx.AsyncClient,
    where: str,
    address: str,
    kind: type[_BybitTime] | type[_BinanceTime],
    clock: Clock,
) -> list[Finding]:
    before_ns = clock.now_ns()
    try:
        answer = await client.get(address)
        answer.raise_for_status()
        told = msgspec.json.decode(answer.content, type=kind)
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        remedy = "check the connection, the venue's status page and the address settings"
        detail = f"{address}: {type(error).__name__}"
        return [Finding(where, "reachable", Grade.BAD, detail, remedy)]
    after_ns = clock.now_ns()
    at_ms = told.time if isinstance(told, _BybitTime) else told.serverTime
    offset_ms = at_ms - (before_ns + after_ns) / 2 / NS_PER_MS
    took = f"answers in {(after_ns - before_ns) / NS_PER_MS:.0f} ms"
    return [Finding(where, "reachable", Grade.OK, took), clock_finding(where, offset_ms)]
