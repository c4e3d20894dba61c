"""What a Bybit order was asked with, beyond what the venue model needs to know."""

from msgspec import Struct


class Asked(Struct, frozen=True):
    """The words of a create request that come back in its rows.

    Attributes:
        link_id: the client's own id; empty when it gave none.
        price: of a limit order, as sent.
        stop: ``Stop`` for conditional orders of linear, ``StopOrder`` or ``tpslOrder`` on spot.
        last_price: of the instrument when the order came.
        created_by: of orders that were not asked for here; empty for those that were.
    """

    link_id: str = ""
    order_type: str = "Market"
    time_in_force: str = "IOC"
    price: str = ""
    market_unit: str = ""
    position_idx: int = 0
    reduce_only: bool = False
    close_on_trigger: bool = False
    stop: str = ""
    trigger_price: str = ""
    trigger_by: str = ""
    trigger_direction: int = 0
    last_price: str = ""
    created_by: str = ""

    @property
    def stop_order_type(self) -> str:
        """As rows tell it: futures and spot stops are both ``Stop`` (docs, enum)."""
        return "tpslOrder" if self.stop == "tpslOrder" else "Stop" if self.stop else ""

    @property
    def create_type(self) -> str:
        if self.created_by:
            return self.created_by
        return "CreateByStopOrder" if self.stop == "Stop" else "CreateByUser"
