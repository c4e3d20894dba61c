"""Bybit as a whole: its public streams, and the private side of one account."""

from engine.model.instrument import Market
from engine.simulator.desk import Desk
from engine.simulator.dialects.bybit_private_account import BybitAccount
from engine.simulator.dialects.bybit_private_keys import ApiKey
from engine.simulator.dialects.bybit_private_rest import BybitPrivateRest
from engine.simulator.dialects.bybit_private_ws import BybitPrivate
from engine.simulator.dialects.bybit_ws import BybitPublic
from engine.simulator.dialects.doors import Router, bybit_router
from engine.simulator.dialects.faults import Faults
from engine.simulator.market import MarketPlace


class Bybit:
    """The two categories that the simulator serves, and one account for both."""

    def __init__(self, place: MarketPlace, desk: Desk, key: ApiKey, faults: Faults) -> None:
        self.spot = BybitPublic(place, Market.SPOT)
        self.linear = BybitPublic(place, Market.LINEAR)
        self.account = BybitAccount(desk, key)
        self.private = BybitPrivate(self.account, faults)
        self.private_rest = BybitPrivateRest(self.account, faults)

    def router(self) -> Router:
        """Return the paths of the WebSocket address."""
        return bybit_router(self.spot, self.linear, self.private)
