"""``GET /statistics``: what the closed positions of one quote asset came to."""

import re
from datetime import datetime, tzinfo
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import Caller
from api.problems import JsonResponse, wrong_field
from api.routes.body import read_query
from api.routes.context import Context, context_of, guarded
from api.schemas import Json, statistics_json
from api.webhook.amounts import read_moment
from engine.clock import from_datetime
from engine.core.statistics import statistics
from engine.model.money import ZERO
from engine.settings import Settings, TradingMode
from storage.queries import Queries
from storage.tables import Scope

DEFAULT_QUOTE = "USDT"
_YEARS = range(1971, 2201)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def statistics_routes() -> list[Route]:
    """Return the route of statistics."""
    return [guarded("/statistics", "GET", Scope.READ, get_statistics)]


async def get_statistics(request: Request, _caller: Caller) -> Response:
    """``GET /statistics?from=&to=&strategy=&quote=``; times as in signals, or days."""
    context, query = context_of(request), read_query(request, ("from", "to", "strategy", "quote"))
    zone = context.runtime.settings.timezone
    from_ns = _read_time("from", query.get("from"), zone)
    to_ns = _read_time("to", query.get("to"), zone)
    if from_ns is not None and to_ns is not None and from_ns >= to_ns:
        raise wrong_field("to", "it must lie after from")
    quote = query.get("quote", DEFAULT_QUOTE).upper()
    content = await context.reader(
        _summarise, context, quote, query.get("strategy"), from_ns, to_ns
    )
    return JsonResponse(content)


def _read_time(name: str, text: str | None, zone: tzinfo) -> int | None:
    """Read a moment, or a day as its midnight in the owner's zone."""
    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return _midnight(text, zone)
        return read_moment(text)
    except ValueError as error:
        raise wrong_field(name, f"{error}, or a day as 2026-01-31") from None


def _midnight(text: str, zone: tzinfo) -> int:
    day = datetime.fromisoformat(text)
    if day.year not in _YEARS:
        raise ValueError(f"give a year from {_YEARS[0]} to {_YEARS[-1]}")
    return from_datetime(day.replace(tzinfo=zone))


def _summarise(
    context: Context, quote: str, strategy: str | None, from_ns: int | None, to_ns: int | None
) -> Json:
    runtime = context.runtime
    positions = context.queries.closed_positions(from_ns, to_ns, strategy, quote)
    now_ns = runtime.clock.now_ns()
    found = statistics(
        positions,
        quote=quote,
        start_equity=_start_equity(runtime.settings, context.queries, quote, from_ns),
        timezone=runtime.settings.timezone,
        until_ns=now_ns if to_ns is None else min(to_ns, now_ns),
    )
    return statistics_json(found)


def _start_equity(settings: Settings, queries: Queries, quote: str, from_ns: int | None) -> Decimal:
    """Realised equity in ``quote`` at ``from_ns``, all strategies together.

    On paper it is known: the play money and what was earned with it. Elsewhere it is reckoned
    back from the balances of now, so a deposit since then counts as if it had been there.
    """
    if settings.trading_mode is TradingMode.PAPER:
        before = queries.closed_positions(to_ns=from_ns, quote=quote) if from_ns else ()
        start = settings.paper_balance * len(settings.venues)
        return start + sum((position.net_pnl for position in before), ZERO)
    since = queries.closed_positions(from_ns=from_ns, quote=quote)
    held = (balance.total for balance in queries.balances() if balance.asset == quote)
    return sum(held, ZERO) - sum((position.net_pnl for position in since), ZERO)
