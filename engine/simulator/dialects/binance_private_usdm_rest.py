"""The endpoints of a USD-M account: parameters, weights, rights.

Source: USD-M documentation, one page an endpoint (August 2026).
"""

import secrets
from typing import Any

from engine.model.instrument import Market
from engine.simulator.dialects.binance_private_front import BinanceFront, Endpoint
from engine.simulator.dialects.binance_private_keys import Key
from engine.simulator.dialects.binance_private_limits import Limits
from engine.simulator.dialects.binance_private_params import Allowed, Params
from engine.simulator.dialects.binance_private_usdm import UsdmAccount
from engine.simulator.dialects.binance_private_usdm_settings import UsdmSettings
from engine.simulator.dialects.binance_rest import BinanceError
from engine.simulator.dialects.faults import Faults
from engine.simulator.market_pace import VenueTime

KEY_LIFE_MS = 60 * 60_000

_IDS = ("orderId", "origClientOrderId")
_ALGO_IDS = ("algoId", "clientAlgoId")
_SPAN = ("startTime", "endTime", "limit")
_COMMON = ("positionSide", "quantity", "reduceOnly", "price", "priceMatch", "timeInForce")
_MODES = ("selfTradePreventionMode", "goodTillDate", "newOrderRespType")
_ORDER = (*_COMMON, *_MODES, "newClientOrderId", "stopPrice", "workingType", "closePosition")
_ALGO = (*_COMMON, *_MODES, "triggerPrice", "workingType", "closePosition", "priceProtect")


class ListenKeys:
    """The one listen key of the account: it lives for 60 minutes from its last renewal."""

    def __init__(self, time: VenueTime) -> None:
        self._time = time
        self._key = ""
        self._ends_ms = 0

    def is_valid(self, key: str) -> bool:
        """Tell whether a key is the one in force."""
        return bool(self._key) and key == self._key and self._time.now_ms() < self._ends_ms

    @property
    def current(self) -> str:
        """Return the key in force; empty where there is none."""
        return self._key if self.is_valid(self._key) else ""

    def end(self) -> None:
        """Let the key expire now."""
        self._ends_ms = 0

    def start(self, _: Params) -> dict[str, Any]:
        """Give a key; one that is in force is renewed."""
        if not self.current:
            self._key = secrets.token_hex(32)
        self._ends_ms = self._time.now_ms() + KEY_LIFE_MS
        return {"listenKey": self._key}

    def renew(self, _: Params) -> dict[str, Any]:
        """Renew the key."""
        if not self.current:
            raise BinanceError(-1125, "This listenKey does not exist.")
        self._ends_ms = self._time.now_ms() + KEY_LIFE_MS
        return {"listenKey": self._key}

    def close(self, _: Params) -> dict[str, Any]:
        """End the key."""
        self._key = ""
        return {}


def usdm_front(
    account: UsdmAccount,
    keys: ListenKeys,
    key: Key,
    faults: Faults,
    limits: Limits,
    time: VenueTime,
) -> BinanceFront:
    """Return the private endpoints of USD-M."""
    endpoints = {
        **_orders(account),
        **_settings(UsdmSettings(account.desk)),
        ("/fapi/v1/listenKey", "POST"): Endpoint(keys.start, signed=False),
        ("/fapi/v1/listenKey", "PUT"): Endpoint(keys.renew, signed=False),
        ("/fapi/v1/listenKey", "DELETE"): Endpoint(keys.close, signed=False),
    }
    return BinanceFront(Market.LINEAR, key, limits, faults, time, endpoints)


def _orders(account: UsdmAccount) -> dict[tuple[str, str], Endpoint]:
    one = Allowed(("symbol",), _IDS)
    place = Allowed(("symbol", "side", "type"), _ORDER)
    algo = Allowed(("algoType", "symbol", "side", "type"), (*_ALGO, "clientAlgoId"))
    of_algo = Allowed((), _ALGO_IDS)
    order, conditional = "/fapi/v1/order", "/fapi/v1/algoOrder"
    return {
        (order, "POST"): Endpoint(account.place, place, 1, trades=True, places=True),
        (order, "GET"): Endpoint(account.query, one),
        (order, "DELETE"): Endpoint(account.cancel, one, trades=True),
        ("/fapi/v1/openOrders", "GET"): Endpoint(account.open_orders, Allowed((), ("symbol",))),
        ("/fapi/v1/allOrders", "GET"): Endpoint(
            account.all_orders, Allowed(("symbol",), ("orderId", *_SPAN)), 5
        ),
        ("/fapi/v1/userTrades", "GET"): Endpoint(
            account.trades, Allowed(("symbol",), ("orderId", "fromId", *_SPAN)), 5
        ),
        (conditional, "POST"): Endpoint(account.place_algo, algo, 1, trades=True, places=True),
        (conditional, "GET"): Endpoint(account.query_algo, of_algo),
        (conditional, "DELETE"): Endpoint(account.cancel_algo, of_algo, trades=True),
        ("/fapi/v1/openAlgoOrders", "GET"): Endpoint(
            account.open_algos, Allowed((), ("algoType", "symbol", "algoId"))
        ),
        ("/fapi/v1/allAlgoOrders", "GET"): Endpoint(
            account.all_algos, Allowed(("symbol",), ("algoId", "page", *_SPAN)), 5
        ),
    }


def _settings(settings: UsdmSettings) -> dict[tuple[str, str], Endpoint]:
    symbol, maybe = Allowed(("symbol",)), Allowed((), ("symbol",))
    lever = Allowed(("symbol", "leverage"))
    margin = Allowed(("symbol", "marginType"))
    mode = Allowed(("dualSidePosition",))
    income = Allowed((), ("symbol", "incomeType", "page", *_SPAN))
    dual = "/fapi/v1/positionSide/dual"
    return {
        ("/fapi/v3/positionRisk", "GET"): Endpoint(settings.positions, maybe, 5),
        ("/fapi/v3/balance", "GET"): Endpoint(settings.balances, Allowed(), 5),
        ("/fapi/v1/income", "GET"): Endpoint(settings.income, income, 30),
        ("/fapi/v1/accountConfig", "GET"): Endpoint(settings.config, Allowed(), 5),
        ("/fapi/v1/symbolConfig", "GET"): Endpoint(settings.symbol_config, symbol, 5),
        ("/fapi/v1/leverage", "POST"): Endpoint(settings.set_leverage, lever, trades=True),
        ("/fapi/v1/marginType", "POST"): Endpoint(settings.set_margin_type, margin, trades=True),
        (dual, "GET"): Endpoint(settings.position_mode, Allowed(), 30),
        (dual, "POST"): Endpoint(settings.set_position_mode, mode, trades=True),
        ("/fapi/v1/commissionRate", "GET"): Endpoint(settings.commission, symbol, 20),
    }
