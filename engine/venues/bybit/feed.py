"""Bybit's live prices: one connection for spot, one for linear."""

from collections.abc import Mapping, Sequence

from engine.model.instrument import Market
from engine.venues.bybit.wire import BybitDialect
from engine.venues.feed import Endpoint


def endpoints(ws_public_url: str) -> Mapping[Market, Sequence[Endpoint]]:
    """List the connections; ``ws_public_url`` ends in ``/v5/public``."""
    return {
        market: (Endpoint(BybitDialect(market), f"{ws_public_url}/{market}"),) for market in Market
    }
