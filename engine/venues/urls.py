"""The addresses of the venues, as plain values.

The setting that holds an address is named in the comment beside it; a trailing slash is ignored.
"""

from dataclasses import dataclass, fields


class _Addresses:
    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = str(getattr(self, field.name)).rstrip("/")
            object.__setattr__(self, field.name, value)


@dataclass(frozen=True, slots=True)
class BybitUrls(_Addresses):
    """Addresses of Bybit.

    Attributes:
        rest: before ``/v5``.
        ws_public: ends in ``/v5/public``.
        ws_private: whole.
        rest_public: where public data is asked for; empty means ``rest``.
    """

    rest: str  # BYBIT_REST_URL
    ws_public: str  # BYBIT_WS_PUBLIC_URL
    ws_private: str  # BYBIT_WS_PRIVATE_URL
    rest_public: str = ""


@dataclass(frozen=True, slots=True)
class BinanceUrls(_Addresses):
    """Addresses of Binance.

    Attributes:
        spot_rest: before ``/api``.
        spot_ws: before ``/ws`` and ``/stream``.
        spot_ws_api: whole.
        usdm_rest: before ``/fapi``.
        usdm_ws: before ``/public``, ``/market`` and ``/private``.
    """

    spot_rest: str  # BINANCE_SPOT_REST_URL
    spot_ws: str  # BINANCE_SPOT_WS_URL
    spot_ws_api: str  # BINANCE_SPOT_WS_API_URL
    usdm_rest: str  # BINANCE_USDM_REST_URL
    usdm_ws: str  # BINANCE_USDM_WS_URL


VenueUrls = BybitUrls | BinanceUrls
