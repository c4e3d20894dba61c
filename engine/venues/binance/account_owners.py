"""Who placed an order: Binance's trades name orders by its own ids, we know ours by client ids."""

from collections.abc import Collection, Sequence

from engine.model.ids import parse_client_order_id
from engine.model.order import FillKind
from engine.venues.account import RequestFailed, Urgency
from engine.venues.binance.client import MarketRest
from engine.venues.binance.codes import ARCHIVED, NO_SUCH_ORDER
from engine.venues.binance.parse import OrderRow

MOST_ROWS = 1000
KEPT = 20_000


def is_ours(client_order_id: str) -> bool:
    """Tell whether an id has the form of ours."""
    return parse_client_order_id(client_order_id) is not None


def kind_of(client_order_id: str) -> FillKind:
    """Tell why an order was executed (USD-M, "Event: Order Update", special client order ids)."""
    if client_order_id.startswith("adl_autoclose"):
        return FillKind.ADL
    if client_order_id.startswith("autoclose-"):
        return FillKind.LIQUIDATION
    return FillKind.TRADE


class Owners:
    """Client ids by symbol and the venue's order id (which is unique by symbol only).

    Of a child order of a conditional one it is that one's client id. The latest are kept.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, int], str] = {}

    def put(self, symbol: str, order_id: int, client_order_id: str) -> None:
        """Remember who placed an order; a name of ours is never replaced by another's."""
        key = (symbol, order_id)
        if is_ours(self._names.get(key, "")):
            return
        self._names[key] = client_order_id
        if len(self._names) > KEPT:
            del self._names[next(iter(self._names))]

    def get(self, symbol: str, order_id: int) -> str | None:
        """Return the client id of an order; None while it is not known."""
        return self._names.get((symbol, order_id))

    def missing(self, symbol: str, order_ids: Collection[int]) -> list[int]:
        """Return the orders whose client ids are not known, oldest first."""
        return sorted({each for each in order_ids if (symbol, each) not in self._names})


class OrderBook:
    """One market's orders as its REST tells them.

    Args:
        prefix: of the paths, as ``/fapi/v1``.
    """

    def __init__(self, rest: MarketRest, prefix: str) -> None:
        self.path = f"{prefix}/order"
        self._rest = rest
        self._prefix = prefix

    async def one(
        self, symbol: str, name: str, value: str, urgency: Urgency = Urgency.LOOK_UP
    ) -> OrderRow | None:
        """Return an order by ``orderId`` or ``origClientOrderId``; None where there is none.

        Raises:
            RequestFailed: no answer to that.
        """
        params = {"symbol": symbol, name: value}
        try:
            return await self._rest.get(self.path, params, OrderRow, urgency)
        except RequestFailed as error:
            if error.code in NO_SUCH_ORDER or error.code == ARCHIVED:
                return None
            raise

    async def resting(self, symbol: str) -> Sequence[OrderRow]:
        """Return the open orders of a symbol."""
        path = f"{self._prefix}/openOrders"
        return await self._rest.get(path, {"symbol": symbol}, list[OrderRow], Urgency.LOOK_UP)

    async def recent(self, symbol: str, first_id: int | None = None) -> Sequence[OrderRow]:
        """Return the latest orders of a symbol, or those from an order id on; at most 1,000."""
        params = {"symbol": symbol, "limit": str(MOST_ROWS)}
        if first_id is not None:
            params["orderId"] = str(first_id)
        path = f"{self._prefix}/allOrders"
        return await self._rest.get(path, params, list[OrderRow], Urgency.LOOK_UP)
