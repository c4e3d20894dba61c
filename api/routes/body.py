"""Request bodies and query strings: bounded, in time, and without what was not asked for."""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from api.problems import (
    FieldError,
    Problem,
    check_count,
    too_large,
    unknown_field,
    unprocessable,
    wrong_field,
)
from api.webhook.fields import MAX_FIELDS
from api.webhook.read import MAX_BYTES, read_object

BODY_WITHIN_S = 5.0
MAX_PARAMETERS = 20


async def read_body(
    request: Request, taken: bytearray | None = None, within_s: float = BODY_WITHIN_S
) -> bytes:
    """Read a whole body, giving up at the first byte over ``MAX_BYTES``.

    Args:
        taken: gets what was read, also when this raises.

    Raises:
        Problem: 413 too large, by its own word or as it comes; 408 slower than ``within_s``.
    """
    taken = bytearray() if taken is None else taken
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BYTES:
        raise too_large(MAX_BYTES)
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                taken += chunk[: MAX_BYTES + 1]
                if len(taken) > MAX_BYTES:
                    raise too_large(MAX_BYTES)
    except TimeoutError:
        error = FieldError("body", f"send the whole body within {within_s:g} s")
        raise Problem(408, "The body came too slowly.", [error], {"Connection": "close"}) from None
    return bytes(taken)


def read_fields(raw: bytes, allowed: Sequence[str] = ()) -> dict[str, Any]:
    """Read an optional JSON object that has no other fields than ``allowed``.

    Raises:
        Problem: as ``read_object``; 422 for a field that is not allowed.
    """
    body = read_object(raw) if raw.strip() else {}
    check_count(len(body), MAX_FIELDS, "body", "fields")
    _refuse_unknown(list(body), allowed)
    return body


def read_query(request: Request, allowed: Sequence[str]) -> dict[str, str]:
    """Return the query's parameters; an empty one is absent.

    Raises:
        Problem: 422 for a parameter that is not allowed or stands twice.
    """
    # Counted unparsed, so that a long query costs nothing.
    count = request.scope["query_string"].count(b"&") + 1
    check_count(count, MAX_PARAMETERS, "query", "parameters")
    pairs = request.query_params.multi_items()
    _refuse_unknown([name for name, _ in pairs], allowed)
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise wrong_field(name, "it stands twice; give it once")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def _refuse_unknown(given: Sequence[str], allowed: Sequence[str]) -> None:
    errors = [unknown_field(name, allowed) for name in given if name not in allowed]
    if errors:
        raise unprocessable(errors)
