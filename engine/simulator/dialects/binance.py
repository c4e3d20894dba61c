"""Binance as a whole: its public streams, and the private sides of two accounts."""

from typing import Any

from engine.model.instrument import Market
from engine.ports import Clock
from engine.simulator.desk import Desk
from engine.simulator.dialects.binance_private_front import BinanceFront
from engine.simulator.dialects.binance_private_keys import Key
from engine.simulator.dialects.binance_private_limits import Limits
from engine.simulator.dialects.binance_private_spot import SpotAccount
from engine.simulator.dialects.binance_private_spot_rest import spot_front
from engine.simulator.dialects.binance_private_spot_ws import SpotApi
from engine.simulator.dialects.binance_private_usdm import UsdmAccount
from engine.simulator.dialects.binance_private_usdm_rest import ListenKeys, usdm_front
from engine.simulator.dialects.binance_private_usdm_ws import UsdmUserStream
from engine.simulator.dialects.binance_ws import BinanceStreams
from engine.simulator.dialects.doors import Dialect, Router, binance_router
from engine.simulator.dialects.faults import Faults
from engine.simulator.key_changes import KeyChanges
from engine.simulator.market import MarketPlace

USDM_ROUTES = ("public", "market")


class Binance:
    """Spot and USD-M futures, a wallet and an account each, one key for both."""

    def __init__(
        self, place: MarketPlace, clock: Clock, spot: Desk, usdm: Desk, key: Key, faults: Faults
    ) -> None:
        self.spot = BinanceStreams(place, Market.SPOT, clock)
        self.usdm = BinanceStreams(place, Market.LINEAR, clock)
        self._key = key
        usdm_account, listen_keys = UsdmAccount(usdm), ListenKeys(place.time)
        limits = Limits(Market.LINEAR, clock, place.time)
        self.usdm_user = UsdmUserStream(usdm_account, listen_keys, faults)
        front = usdm_front(usdm_account, listen_keys, key, faults, limits, place.time)
        spot_account = SpotAccount(spot)
        limits = Limits(Market.SPOT, clock, place.time)
        spot_private = spot_front(spot_account, key, faults, limits, place.time)
        self.fronts: list[BinanceFront] = [spot_private, front]
        self.spot_api = SpotApi(spot_account, key, spot_private, faults)

    @property
    def dialects(self) -> list[Dialect]:
        """Everything that speaks over a WebSocket."""
        return [self.spot, self.usdm, self.spot_api, self.usdm_user]

    def change_key(self, changes: KeyChanges) -> dict[str, Any]:
        """Change the key; returns what the venue tells of it now."""
        self._key.change(changes)
        return self._key.restrictions()

    def spot_router(self) -> Router:
        """Return the paths of the spot stream address."""
        return binance_router(self.spot, (), api=self.spot_api)

    def usdm_router(self) -> Router:
        """Return the paths of the USD-M stream address."""
        return binance_router(self.usdm, USDM_ROUTES, user=self.usdm_user)
