"""Bybit as a whole: its streams, and where the private side will join.

The private side (``/v5/private``, orders, positions) belongs beside these files as
``bybit_private_ws.py`` and ``bybit_private_rest.py``; it adds its path to ``router`` and its routes
to ``bybit_rest.routes``.
"""

from engine.model.instrument import Market
from engine.simulator.dialects.bybit_ws import BybitPublic
from engine.simulator.dialects.doors import Router, bybit_router
from engine.simulator.market import MarketPlace


class Bybit:
    """The two categories that the simulator serves."""

    def __init__(self, place: MarketPlace) -> None:
        self.spot = BybitPublic(place, Market.SPOT)
        self.linear = BybitPublic(place, Market.LINEAR)

    def router(self) -> Router:
        """Return the paths of the WebSocket address."""
        return bybit_router(self.spot, self.linear)
