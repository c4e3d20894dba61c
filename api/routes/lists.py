"""Plain lists from the ledger: signals, orders, trades, balances."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import Caller
from api.problems import JsonResponse, wrong_field
from api.routes.body import read_query
from api.routes.context import Handler, context_of, guarded
from api.schemas import Json, balance_json, list_json, order_json, signal_json, trade_json
from storage.queries import MAX_LIMIT, Page, Queries
from storage.tables import Scope

DEFAULT_LIMIT = 100
_PAGED = ("limit", "cursor")

T = TypeVar("T")


def list_routes() -> list[Route]:
    """Return the routes of lists."""
    return [
        guarded("/signals", "GET", Scope.READ, _lister(Queries.signals, signal_json)),
        guarded("/orders", "GET", Scope.READ, _lister(Queries.orders, order_json)),
        guarded("/trades", "GET", Scope.READ, _lister(Queries.trades, trade_json)),
        guarded("/balances", "GET", Scope.READ, list_balances),
    ]


def _lister(
    read: Callable[[Queries, int, str | None], Page[T]], to_json: Callable[[T], Json]
) -> Handler:
    async def handler(request: Request, _caller: Caller) -> Response:
        context, query = context_of(request), read_query(request, _PAGED)
        limit, cursor = read_limit(query), query.get("cursor")
        try:
            page = await context.reader(read, context.queries, limit, cursor)
        except ValueError:
            remedy = "give the next_cursor of the page before, unchanged"
            raise wrong_field("cursor", remedy) from None
        return JsonResponse(list_json(page.items, to_json, page.next_cursor))

    return handler


def read_limit(query: Mapping[str, str]) -> int:
    """Read ``limit``.

    Raises:
        Problem: 422.
    """
    text = query.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise wrong_field("limit", f"give a whole number from 1 to {MAX_LIMIT}")
    return limit


async def list_balances(request: Request, _caller: Caller) -> Response:
    """``GET /balances``, all on one page: there are few."""
    context = context_of(request)
    read_limit(read_query(request, _PAGED))
    found = await context.reader(context.queries.balances)
    return JsonResponse(list_json(found, balance_json, None))
