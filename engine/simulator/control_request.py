"""How control requests are read, and how a bad one is answered (RFC 9457)."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.simulator.market_scripted import parse_price


class BadRequest(Exception):
    """A control request that cannot be carried out: the field, and what to write instead."""

    def __init__(self, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {remedy}")
        self.field = field
        self.remedy = remedy


def problem(error: BadRequest) -> Response:
    """Answer with what is wrong."""
    body = {
        "type": "about:blank",
        "title": "The control request is not valid",
        "status": 422,
        "detail": str(error),
        "errors": [{"field": error.field, "remedy": error.remedy}],
    }
    return JSONResponse(body, 422, media_type="application/problem+json")


async def read_body(request: Request, known: set[str]) -> dict[str, Any]:
    try:
        body = json.loads(await request.body(), parse_float=Decimal)
    except ValueError:
        raise BadRequest("body", "send a JSON object") from None
    if not isinstance(body, dict):
        raise BadRequest("body", "send a JSON object")
    for name in body:
        if name not in known:
            raise BadRequest(name, f"unknown field; known are {', '.join(sorted(known))}")
    return body


def parsed_price(field: str, value: object) -> Decimal:
    price = parse_price(value)
    if price is None:
        raise BadRequest(field, "give a positive decimal number, as a string or a number")
    return price


def count(field: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadRequest(field, f"give a whole number, {least} or more")
    return value


def close_code(value: object) -> int:
    """Codes that an endpoint may send in a close frame (RFC 6455, 7.4)."""
    code = count("code", value, least=1000)
    if code in (1004, 1005, 1006, 1015) or (1015 < code < 3000) or code > 4999:
        raise BadRequest("code", "give a close code that may be sent: 1000..1014 or 3000..4999")
    return code


def one_of(field: str, value: object, choices: Sequence[str]) -> str | None:
    if value is None:
        return None
    if value not in choices:
        raise BadRequest(field, f"give one of {', '.join(choices)}")
    return str(value)
