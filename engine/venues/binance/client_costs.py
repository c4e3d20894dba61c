"""What each request costs of Binance's budgets.

Sources: the "Weight" of each endpoint in the spot and USD-M documentation, and "Limits"; the limits
are those of ``exchangeInfo.rateLimits`` in 2026. What a budget allows is asked of nobody at start:
the venue's own count comes with every answer.
"""

from collections.abc import Mapping, Sequence

from engine.clock import NS_PER_SECOND
from engine.model.instrument import Market
from engine.venues.pacing import Budget

BUDGETS: Mapping[Market, Sequence[Budget]] = {
    Market.SPOT: (
        Budget("weight", 6000, 60 * NS_PER_SECOND),
        Budget("orders_10s", 100, 10 * NS_PER_SECOND),
    ),
    Market.LINEAR: (
        Budget("weight", 2400, 60 * NS_PER_SECOND),
        Budget("orders_10s", 300, 10 * NS_PER_SECOND),
        Budget("orders_1m", 1200, 60 * NS_PER_SECOND),
    ),
}

WEIGHT: Mapping[str, str] = {"X-MBX-USED-WEIGHT-1M": "weight"}
NEW_ORDER_HEADERS: Mapping[Market, Mapping[str, str]] = {
    Market.SPOT: {"X-MBX-ORDER-COUNT-10S": "orders_10s"},
    Market.LINEAR: {
        "X-MBX-ORDER-COUNT-10S": "orders_10s",
        "X-MBX-ORDER-COUNT-1M": "orders_1m",
    },
}
"""Headers that tell how much of a budget is used, and the budget."""

WEIGHTS: Mapping[tuple[str, str], int] = {
    ("get", "/api/v3/order"): 4,
    ("get", "/api/v3/openOrders"): 6,
    ("get", "/api/v3/allOrders"): 20,
    ("get", "/api/v3/myTrades"): 20,
    ("get", "/api/v3/account"): 20,
    ("get", "/api/v3/exchangeInfo"): 20,
    ("get", "/api/v3/klines"): 2,
    ("post", "/fapi/v1/order"): 0,
    ("post", "/fapi/v1/algoOrder"): 0,
    ("get", "/fapi/v1/allOrders"): 5,
    ("get", "/fapi/v1/allAlgoOrders"): 5,
    ("get", "/fapi/v1/userTrades"): 5,
    ("get", "/fapi/v1/income"): 30,
    ("get", "/fapi/v3/positionRisk"): 5,
    ("get", "/fapi/v3/balance"): 5,
    ("get", "/fapi/v1/accountConfig"): 5,
    ("get", "/fapi/v1/symbolConfig"): 5,
    ("get", "/fapi/v1/commissionRate"): 20,
}
"""By method and path; 1 where it is not named here."""

OPEN_ALGO_OF_ALL = 40
TRADES_OF_ORDER = 5
NEW_ORDERS = frozenset({"/api/v3/order", "/fapi/v1/order", "/fapi/v1/algoOrder"})


def costs(market: Market, method: str, path: str, params: Mapping[str, str]) -> dict[str, int]:
    """Return what a request takes of which budget."""
    weight = WEIGHTS.get((method, path), 1)
    if path == "/fapi/v1/openAlgoOrders" and "symbol" not in params:
        weight = OPEN_ALGO_OF_ALL
    elif path == "/api/v3/myTrades" and "orderId" in params:
        weight = TRADES_OF_ORDER
    spent = {"weight": weight} if weight else {}
    if method == "post" and path in NEW_ORDERS:
        spent |= dict.fromkeys(NEW_ORDER_HEADERS[market].values(), 1)
    return spent
