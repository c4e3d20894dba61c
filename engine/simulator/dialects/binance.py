"""Binance as a whole: its streams, and where the private side will join.

The private side (spot ``/ws-api/v3``, USD-M ``/private`` and the signed REST calls) belongs beside
these files as ``binance_private_ws.py`` and ``binance_private_rest.py``; it adds its paths to the
routers and its routes to ``binance_rest.routes``.
"""

from engine.model.instrument import Market
from engine.ports import Clock
from engine.simulator.dialects.binance_ws import BinanceStreams
from engine.simulator.dialects.doors import Router, binance_router
from engine.simulator.market import MarketPlace

USDM_ROUTES = ("public", "market")


class Binance:
    """Spot and USD-M futures."""

    def __init__(self, place: MarketPlace, clock: Clock) -> None:
        self.spot = BinanceStreams(place, Market.SPOT, clock)
        self.usdm = BinanceStreams(place, Market.LINEAR, clock)

    def spot_router(self) -> Router:
        """Return the paths of the spot stream address."""
        return binance_router(self.spot, ())

    def usdm_router(self) -> Router:
        """Return the paths of the USD-M stream address."""
        return binance_router(self.usdm, USDM_ROUTES)
