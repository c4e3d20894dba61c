"""From a sender's spelling to one venue, one market and the venue's own symbol. Nothing is tried.

TradingView writes ``BYBIT:BTCUSDT.P`` for a perpetual, ``BYBIT:BTCUSDT`` for spot or whatever the
owner's default is, ``BINANCE:BTCUSDTPERP`` in old alerts, and ``_DL`` or ``_DLY`` behind the
exchange of delayed data.
"""

from collections.abc import Sequence

from msgspec import Struct

from api.problems import Problem, shown, wrong_field
from api.webhook.fields import Draft
from engine.model.instrument import InstrumentId, Market

EXCHANGES = {"BYBIT": "bybit", "BINANCE": "binance", "OKX": "okx", "KUCOIN": "kucoin"}
_DELAYED = ("_DLY", "_DL")
_PERPETUAL = (".P", "PERP")


class Defaults(Struct, frozen=True):
    """What holds where a signal does not say.

    Attributes:
        venues: the venues that are served.
        market: the route's own market if it has one, else DEFAULT_MARKET.
    """

    venues: Sequence[str]
    venue: str
    market: Market


def resolve(draft: Draft, defaults: Defaults) -> InstrumentId:
    """Return the one instrument that a draft names; whether it exists is not looked at.

    Raises:
        Problem: 422 for an exchange, venue or market that is unknown, not served or contradicted.
    """
    exchange, symbol = _split_exchange(draft.symbol)
    symbol, is_perpetual = _split_perpetual(symbol)
    if not symbol or ":" in symbol or any(character.isspace() for character in symbol):
        raise wrong_field(
            "symbol", f"{shown(draft.symbol)} is no symbol; write it as BYBIT:BTCUSDT.P"
        )
    venue = _venue(draft, exchange, defaults)
    return InstrumentId(venue, _market(draft, is_perpetual=is_perpetual, defaults=defaults), symbol)


def _split_exchange(text: str) -> tuple[str | None, str]:
    prefix, colon, rest = text.partition(":")
    if not colon:
        return None, text
    for suffix in _DELAYED:
        prefix = prefix.removesuffix(suffix)
    return prefix, rest


def _split_perpetual(symbol: str) -> tuple[str, bool]:
    for suffix in _PERPETUAL:
        if symbol.endswith(suffix):
            return symbol.removesuffix(suffix), True
    return symbol, False


def _venue(draft: Draft, exchange: str | None, defaults: Defaults) -> str:
    served = ", ".join(defaults.venues)
    if exchange is not None and exchange not in EXCHANGES:
        raise wrong_field("symbol", f"exchange {shown(exchange)} is unknown; served are {served}")
    named = EXCHANGES[exchange] if exchange is not None else None
    if named and draft.venue and named != draft.venue:
        raise wrong_field("venue", f"{draft.venue} contradicts the symbol's {exchange}; give one")
    venue = draft.venue or named or defaults.venue
    if venue not in defaults.venues:
        field = "venue" if draft.venue else "symbol"
        raise wrong_field(field, f"{shown(venue)} is not in VENUES; served are {served}")
    return venue


def _market(draft: Draft, *, is_perpetual: bool, defaults: Defaults) -> Market:
    if is_perpetual and draft.market is Market.SPOT:
        raise wrong_field("market", "spot contradicts the symbol's ending (.P or PERP); give one")
    return Market.LINEAR if is_perpetual else draft.market or defaults.market


def unknown_symbol(instrument: InstrumentId, near: Sequence[str]) -> Problem:
    """422 for a symbol that the venue's instrument list does not have, with near names."""
    hint = f"did you mean {' or '.join(near)}?" if near else "check its spelling, venue and market"
    where = f"{instrument.venue} {instrument.market}"
    return wrong_field("symbol", f"{shown(instrument.symbol)} is not listed on {where}; {hint}")
