"""The endpoints of a spot account: parameters, weights, rights.

Source: spot documentation, "Trading endpoints" and "Account endpoints"; wallet documentation,
"Get API Key Permission".
"""

from engine.model.instrument import Market
from engine.simulator.dialects.binance_private_front import BinanceFront, Endpoint
from engine.simulator.dialects.binance_private_keys import Key
from engine.simulator.dialects.binance_private_limits import Limits
from engine.simulator.dialects.binance_private_params import Allowed
from engine.simulator.dialects.binance_private_spot import SpotAccount
from engine.simulator.dialects.faults import Faults
from engine.simulator.market_pace import VenueTime

_SPAN = ("startTime", "endTime", "limit")
_ORDER = (
    *("timeInForce", "quantity", "quoteOrderQty", "price", "newClientOrderId", "strategyId"),
    *("stopPrice", "newOrderRespType", "selfTradePreventionMode", "strategyType"),
)


def spot_front(
    account: SpotAccount, key: Key, faults: Faults, limits: Limits, time: VenueTime
) -> BinanceFront:
    """Return the private endpoints of the spot market."""
    ids = ("orderId", "origClientOrderId")
    place = Allowed(("symbol", "side", "type"), _ORDER)
    of_symbol = Allowed((), ("symbol",))
    endpoints = {
        ("/api/v3/order", "POST"): Endpoint(account.place, place, 1, trades=True, places=True),
        ("/api/v3/order", "GET"): Endpoint(account.query, Allowed(("symbol",), ids), 4),
        ("/api/v3/order", "DELETE"): Endpoint(
            account.cancel, Allowed(("symbol",), (*ids, "newClientOrderId")), 1, trades=True
        ),
        ("/api/v3/openOrders", "GET"): Endpoint(account.open_orders, of_symbol, 6),
        ("/api/v3/allOrders", "GET"): Endpoint(
            account.all_orders, Allowed(("symbol",), ("orderId", *_SPAN)), 20
        ),
        ("/api/v3/myTrades", "GET"): Endpoint(
            account.trades, Allowed(("symbol",), ("orderId", "fromId", *_SPAN)), 20
        ),
        ("/api/v3/account", "GET"): Endpoint(
            account.account, Allowed((), ("omitZeroBalances",)), 20
        ),
        ("/api/v3/account/commission", "GET"): Endpoint(
            account.commission, Allowed(("symbol",)), 20
        ),
        ("/sapi/v1/account/apiRestrictions", "GET"): Endpoint(lambda _: key.restrictions()),
    }
    return BinanceFront(Market.SPOT, key, limits, faults, time, endpoints)
