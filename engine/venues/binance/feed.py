"""Binance's live prices: one connection for spot, two for USD-M by its routes.

A USD-M stream asked for on the wrong route is acknowledged and stays silent.
"""

from collections.abc import Mapping, Sequence

from engine.model.instrument import Market
from engine.venues.binance.wire import spot_dialect, usdm_market_dialect, usdm_public_dialect
from engine.venues.feed import Endpoint


def endpoints(spot_ws_url: str, usdm_ws_url: str) -> Mapping[Market, Sequence[Endpoint]]:
    """List the connections; the addresses end before ``/stream`` and the routes."""
    return {
        Market.SPOT: (Endpoint(spot_dialect(), f"{spot_ws_url}/stream"),),
        Market.LINEAR: (
            Endpoint(usdm_market_dialect(), f"{usdm_ws_url}/market/stream"),
            Endpoint(usdm_public_dialect(), f"{usdm_ws_url}/public/stream"),
        ),
    }
