"""The parameters of Bybit's private requests, read with its refusals.

The venue itself overlooks unknown parameters; the simulator refuses them (10001), so that a
misspelt one is found before it costs money.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from engine.model.instrument import InstrumentId, Market
from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.calls import Call

_NUMBER = re.compile(r"[0-9]{1,24}(\.[0-9]{1,24})?")
_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
"""Docs, order/create: at most 36 letters, digits, dashes and underscores."""


class Params:
    """The parameters of one request: of a GET its query, of a POST its JSON body.

    Attributes:
        stale_ms: how far behind the books a list is to be.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.stale_ms = 0

    @classmethod
    def of(cls, call: Call) -> "Params":
        """Read a request.

        Raises:
            BybitError: 10001, the body is no JSON object, or a parameter comes twice.
        """
        if call.method == "GET":
            pairs = parse_qsl(call.query, keep_blank_values=True)
            if len(dict(pairs)) != len(pairs):
                raise BybitError("params error: duplicate parameter")
            return cls(dict(pairs))
        try:
            return cls(msgspec.json.decode(call.body, type=dict[str, Any]))
        except msgspec.DecodeError:
            raise BybitError("params error: request body is not a JSON object") from None

    def check(self, known: frozenset[str], required: tuple[str, ...]) -> None:
        """Refuse unknown parameters, and missing or empty ones that are required."""
        for name in self._given:
            if name not in known:
                raise BybitError(f"params error: unknown parameter {name}")
        for name in required:
            if self._given.get(name) in (None, ""):
                raise BybitError(f"params error: {name} is missing or empty")

    @property
    def market(self) -> Market:
        """The category; inverse and option are not simulated."""
        try:
            return Market(self.text("category"))
        except ValueError:
            raise BybitError("params error: Category is invalid") from None

    def text(self, name: str, default: str = "") -> str:
        value = self._given.get(name, default)
        if not isinstance(value, str):
            raise BybitError(f"params error: {name} must be a string")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str = "") -> str:
        """Return one of some words; an absent or empty parameter is the default."""
        value = self.text(name) or default
        if value not in choices and value != default:
            raise BybitError(f"params error: {name} invalid")
        return value

    def decimal(self, name: str) -> Decimal | None:
        """Return a plain decimal that is not negative; None when it is absent or empty.

        A number instead of a string, an exponent or a sign is refused, as the venue does.
        """
        text = self.text(name)
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise BybitError(f"params error: {name} invalid")
        return Decimal(text)

    def flag(self, name: str) -> bool:
        """Return a JSON boolean; False when absent."""
        value = self._given.get(name, False)
        if not isinstance(value, bool):
            raise BybitError(f"params error: {name} must be a boolean")
        return value

    def whole(self, name: str, default: int, most: int) -> int:
        """Return a whole number 0..most, a JSON number or the text of one."""
        value = self._given.get(name, default)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise BybitError(f"params error: {name} invalid")
        return value

    def limit(self, default: int, most: int) -> int:
        """Return the page size, 1..most."""
        size = self.whole("limit", default, most)
        if size < 1:
            raise BybitError("params error: limit invalid")
        return size

    def link_id(self) -> str:
        """Return ``orderLinkId``, empty when absent."""
        link_id = self.text("orderLinkId")
        if link_id and not _LINK_ID.fullmatch(link_id):
            raise BybitError("params error: orderLinkId invalid")
        return link_id

    def instrument_id(self) -> InstrumentId | None:
        """Return what ``symbol`` names; None when it is absent."""
        symbol = self.text("symbol")
        return InstrumentId("bybit", self.market, symbol) if symbol else None
