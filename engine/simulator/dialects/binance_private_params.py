"""Parameters of Binance's private requests, read with Binance's refusals.

Sources: rest-api errors.md of the spot documentation and the error codes of USD-M futures. Texts of
USD-M that its documentation does not give are those that clients report.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from urllib.parse import unquote_plus

from msgspec import Struct

from engine.model.instrument import Market
from engine.simulator.dialects.binance_rest import BinanceError, missing

CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
MAX_DECIMALS = 8
MAX_RECV_WINDOW_MS = 60_000

_DECIMAL = re.compile(r"([0-9]{1,20})(\.[0-9]{1,20})?")
_DECIMAL_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_WHOLE_RANGE = "^[0-9]{1,20}$"
_ID_RANGE = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"


class Denied(BinanceError):
    """A refusal with the HTTP status and headers that go with it."""

    def __init__(
        self, code: int, message: str, status: int = 400, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(code, message)
        self.status = status
        self.headers = headers or {}


def not_required(name: str) -> BinanceError:
    """Return the refusal of a parameter that the rest of the request rules out."""
    return BinanceError(-1106, f"Parameter '{name}' sent when not required.")


def illegal(name: str, legal: str) -> BinanceError:
    """Return the refusal of a malformed parameter."""
    text = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    return BinanceError(-1100, text)


def split_fields(*raw: str) -> list[tuple[str, str]]:
    """Read form fields of a query and a body, decoded, in their order; empty ones included."""
    fields: list[tuple[str, str]] = []
    for field in "&".join(text for text in raw if text).split("&"):
        name, _, value = field.partition("=")
        if name:
            fields.append((unquote_plus(name), unquote_plus(value)))
    return fields


class Allowed(Struct, frozen=True):
    """The parameters of an endpoint: those it needs, and those it takes besides."""

    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()

    def check(self, params: "Params") -> None:
        """Refuse a missing (-1102) or unknown (-1104) parameter.

        Raises:
            BinanceError: with Binance's code and text.
        """
        for name in self.needs:
            if not params.text(name):
                raise missing(name)
        read = [name for name in params.names if name in self.needs or name in self.takes]
        if len(read) < len(params.names):
            raise BinanceError(
                -1104,
                f"Not all sent parameters were read; read '{len(read)}' parameter(s)"
                f" but was sent '{len(params.names)}'.",
            )


class Params:
    """The parameters of one request, without ``signature``."""

    def __init__(self, market: Market, fields: Sequence[tuple[str, str]]) -> None:
        self.market = market
        self._fields = dict(fields)
        if len(self._fields) != len(fields):
            raise BinanceError(-1101, "Duplicate values for a parameter detected.")

    @property
    def names(self) -> list[str]:
        """Names as they were sent, in their order."""
        return list(self._fields)

    def has(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str) -> str:
        """Return a parameter; empty where it was not sent."""
        return self._fields.get(name, "")

    def forbid(self, names: Iterable[str]) -> None:
        """Refuse parameters that were sent though the rest of the request rules them out."""
        for name in names:
            if self.has(name):
                written = name.lower() if self.market is Market.LINEAR else name
                raise not_required(written)

    def need(self, *names: str) -> None:
        """Refuse a request without parameters that others make mandatory."""
        for name in names:
            if not self.text(name):
                raise missing(name)

    def need_one(self, first: str, second: str) -> None:
        """Refuse a request that names neither of two."""
        if not self.text(first) and not self.text(second):
            text = f"Param '{first}' or '{second}' must be sent, but both were empty/null!"
            raise BinanceError(-1102, text)

    def decimal(self, name: str) -> Decimal | None:
        """Return a decimal number, None where it was not sent; never with an exponent.

        Raises:
            BinanceError: -1100 not a number, -1111 more than 8 decimals.
        """
        text = self.text(name)
        if not text:
            return None
        matched = _DECIMAL.fullmatch(text)
        if matched is None:
            raise illegal(name, _DECIMAL_RANGE)
        if len((matched[2] or ".").rstrip("0")) - 1 > MAX_DECIMALS:
            raise precision(self.market, name)
        return Decimal(text)

    def whole(self, name: str, default: int | None = None, most: int = 10**18) -> int:
        """Return a whole number; larger ones than ``most`` are cut to it.

        Raises:
            BinanceError: -1100 not a number, -1102 not sent and without a default.
        """
        text = self.text(name)
        if not text and default is not None:
            return default
        if not text:
            raise missing(name)
        if not text.isascii() or not text.isdigit() or len(text) > 20:
            raise illegal(name, _WHOLE_RANGE)
        return min(int(text), most)

    def flag(self, name: str) -> bool:
        """Return ``true`` or ``false`` as Binance reads them: in small or in capital letters."""
        text = self.text(name)
        if text.lower() not in ("", "true", "false"):
            raise illegal(name, "true|false")
        return text.lower() == "true"

    def choice(self, name: str, values: Iterable[str], refusal: BinanceError) -> str:
        """Return a mandatory parameter that is one of ``values``."""
        text = self.text(name)
        if not text:
            raise missing(name)
        if text not in values:
            raise refusal
        return text

    def client_id(self, name: str) -> str:
        """Return a client order id of at most 36 legal characters; empty where none was sent."""
        text = self.text(name)
        if self.market is Market.LINEAR and len(text) > 36:
            raise BinanceError(-4015, "Client order id length should not be more than 36 chars")
        if self.has(name) and not CLIENT_ID.fullmatch(text):
            raise illegal(name, _ID_RANGE)
        return text

    def span_ms(self) -> tuple[int, int]:
        """Return ``startTime`` and ``endTime``, both inclusive."""
        return self.whole("startTime", 0), self.whole("endTime", 10**15)


def precision(market: Market, name: str) -> BinanceError:
    """Return the refusal of a number with too many decimals."""
    if market is Market.SPOT:
        return BinanceError(-1111, f"Parameter '{name}' has too much precision.")
    return BinanceError(-1111, "Precision is over the maximum defined for this asset.")
