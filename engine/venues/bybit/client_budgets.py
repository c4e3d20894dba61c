"""What Bybit lets us ask in a second, and what each request costs.

Source: the v5 documentation, "Rate Limit Rules": 600 requests in 5 s by address; by account and
second as listed, for each endpoint and category alone.
"""

from collections.abc import Mapping

from msgspec import Struct

from engine.venues.pacing import NS_PER_SECOND, Budget

ADDRESS = "address"

BUDGETS = (
    Budget(ADDRESS, 600, 5 * NS_PER_SECOND),
    Budget("create.linear", 10, NS_PER_SECOND),
    Budget("create.spot", 20, NS_PER_SECOND),
    Budget("cancel.linear", 10, NS_PER_SECOND),
    Budget("cancel.spot", 20, NS_PER_SECOND),
    Budget("open_orders", 50, NS_PER_SECOND),
    Budget("history", 50, NS_PER_SECOND),
    Budget("executions", 50, NS_PER_SECOND),
    Budget("positions", 50, NS_PER_SECOND),
    Budget("wallet", 50, NS_PER_SECOND),
    Budget("account", 10, NS_PER_SECOND),
    Budget("leverage", 10, NS_PER_SECOND),
    Budget("margin_mode", 5, NS_PER_SECOND),
    Budget("fees.linear", 10, NS_PER_SECOND),
    Budget("fees.spot", 5, NS_PER_SECOND),
    Budget("key", 10, NS_PER_SECOND),
)


class Endpoint(Struct, frozen=True):
    """One of the venue's endpoints.

    Attributes:
        name: in ``parse.SHAPES``.
        method: of pybit's client.
        budget: that a request is charged to beside the address's; empty for public ones.
        by_category: the budget is one for each category.
    """

    name: str
    method: str
    budget: str = ""
    by_category: bool = False

    def charged_to(self, category: str) -> str:
        """Return the budget of a request; empty for none but the address's."""
        return f"{self.budget}.{category}" if self.by_category else self.budget

    def costs(self, category: str) -> Mapping[str, int]:
        """Return what a request costs, by budget."""
        own = self.charged_to(category)
        return {ADDRESS: 1, own: 1} if own else {ADDRESS: 1}


TIME = Endpoint("GET /v5/market/time", "get_server_time")
BARS = Endpoint("GET /v5/market/kline", "get_kline")
INSTRUMENTS = Endpoint("GET /v5/market/instruments-info", "get_instruments_info")
CREATE = Endpoint("POST /v5/order/create", "place_order", "create", by_category=True)
CANCEL = Endpoint("POST /v5/order/cancel", "cancel_order", "cancel", by_category=True)
OPEN_ORDERS = Endpoint("GET /v5/order/realtime", "get_open_orders", "open_orders")
HISTORY = Endpoint("GET /v5/order/history", "get_order_history", "history")
EXECUTIONS = Endpoint("GET /v5/execution/list", "get_executions", "executions")
POSITIONS = Endpoint("GET /v5/position/list", "get_positions", "positions")
LEVERAGE = Endpoint("POST /v5/position/set-leverage", "set_leverage", "leverage")
WALLET = Endpoint("GET /v5/account/wallet-balance", "get_wallet_balance", "wallet")
ACCOUNT = Endpoint("GET /v5/account/info", "get_account_info", "account")
MARGIN_MODE = Endpoint("POST /v5/account/set-margin-mode", "set_margin_mode", "margin_mode")
FEES = Endpoint("GET /v5/account/fee-rate", "get_fee_rates", "fees", by_category=True)
KEY = Endpoint("GET /v5/user/query-api", "get_api_key_information", "key")

ENDPOINTS = (
    TIME, BARS, INSTRUMENTS, CREATE, CANCEL, OPEN_ORDERS, HISTORY, EXECUTIONS, POSITIONS,
    LEVERAGE, WALLET, ACCOUNT, MARGIN_MODE, FEES, KEY,
)  # fmt: skip
