"""Where the venues are: their hosts by trading mode, and the names that replace them.

Hosts are those of the venues' own documentation as of July to October 2026. An address is written
without a trailing slash; the adapter appends what follows (``/v5``, ``/api``, ``/fapi`` ...).
"""

from typing import Final
from urllib.parse import urlsplit

PAPER: Final = "paper"

_MAINNET: Final[dict[str, str]] = {
    "bybit_rest_url": "https://api.bybit.com",
    "bybit_ws_public_url": "wss://stream.bybit.com/v5/public",
    "bybit_ws_private_url": "wss://stream.bybit.com/v5/private",
    "binance_spot_rest_url": "https://api.binance.com",
    "binance_spot_ws_url": "wss://stream.binance.com:9443",
    "binance_spot_ws_api_url": "wss://ws-api.binance.com/ws-api/v3",
    "binance_usdm_rest_url": "https://fapi.binance.com",
    "binance_usdm_ws_url": "wss://fstream.binance.com",
    "okx_rest_url": "https://www.okx.com",
    "okx_ws_url": "wss://ws.okx.com:8443/ws/v5",
    "kucoin_rest_url": "https://api.kucoin.com",
}

# Bybit's demo has private streams only, its prices are mainnet's. OKX tells demo by a header and
# another stream host; it has no testnet. KuCoin has neither.
_DEMO: Final[dict[str, str]] = _MAINNET | {
    "bybit_rest_url": "https://api-demo.bybit.com",
    "bybit_ws_private_url": "wss://stream-demo.bybit.com/v5/private",
    "binance_spot_rest_url": "https://demo-api.binance.com",
    "binance_spot_ws_url": "wss://demo-stream.binance.com",
    "binance_spot_ws_api_url": "wss://demo-ws-api.binance.com/ws-api/v3",
    "binance_usdm_rest_url": "https://demo-fapi.binance.com",
    "binance_usdm_ws_url": "wss://demo-fstream.binance.com",
    "okx_ws_url": "wss://wspap.okx.com:8443/ws/v5",
}
_TESTNET: Final[dict[str, str]] = _DEMO | {
    "bybit_rest_url": "https://api-testnet.bybit.com",
    "bybit_ws_public_url": "wss://stream-testnet.bybit.com/v5/public",
    "bybit_ws_private_url": "wss://stream-testnet.bybit.com/v5/private",
    "binance_spot_rest_url": "https://testnet.binance.vision",
    "binance_spot_ws_url": "wss://stream.testnet.binance.vision",
    "binance_spot_ws_api_url": "wss://ws-api.testnet.binance.vision/ws-api/v3",
    "binance_usdm_rest_url": "https://testnet.binancefuture.com",
    "binance_usdm_ws_url": "wss://fstream.binancefuture.com",
}
HOSTS: Final[dict[str, dict[str, str]]] = {
    PAPER: _MAINNET,
    "demo": _DEMO,
    "testnet": _TESTNET,
    "live": _MAINNET,
}
ADDRESSES: Final = frozenset(_MAINNET)

# What a venue cannot do without; the private ones only where there is an account.
PUBLIC: Final[dict[str, tuple[str, ...]]] = {
    "bybit": ("bybit_rest_url", "bybit_ws_public_url"),
    "binance": (
        "binance_spot_rest_url",
        "binance_spot_ws_url",
        "binance_usdm_rest_url",
        "binance_usdm_ws_url",
    ),
    "okx": ("okx_rest_url", "okx_ws_url"),
    "kucoin": ("kucoin_rest_url",),
}
PRIVATE: Final[dict[str, tuple[str, ...]]] = {
    "bybit": ("bybit_ws_private_url",),
    "binance": ("binance_spot_ws_api_url",),
    "okx": (),
    "kucoin": (),
}

# What the adapter appends; an address that already carries it would be doubled.
_APPENDED: Final[dict[str, tuple[str, ...]]] = {
    "bybit_rest_url": ("/v5",),
    "binance_spot_rest_url": ("/api", "/api/v3"),
    "binance_spot_ws_url": ("/ws", "/stream"),
    "binance_usdm_rest_url": ("/fapi", "/fapi/v1"),
    "binance_usdm_ws_url": ("/public", "/market", "/private"),
    "okx_ws_url": ("/public",),
}
_ENDING: Final[dict[str, str]] = {"bybit_ws_public_url": "/v5/public"}


def needed(venue: str, mode: str) -> tuple[str, ...]:
    """Return the address names that a venue uses in a mode; on paper only the public ones."""
    return PUBLIC[venue] if mode == PAPER else PUBLIC[venue] + PRIVATE[venue]


def clean_address(name: str, text: str) -> str:
    """Return an address without its trailing slashes.

    Raises:
        ValueError: it is no such address; the message says what is wanted and holds no value.
    """
    address = text.rstrip("/")
    wanted = ("ws", "wss") if "_ws_" in name else ("http", "https")
    _check_form(address, wanted)
    ending = _ENDING.get(name, "")
    if not address.endswith(ending):
        raise ValueError(f"it has to end in {ending}")
    for appended in _APPENDED.get(name, ()):
        if address.endswith(appended):
            raise ValueError(f"leave out the closing {appended}, Tickguard appends it")
    return address


def _check_form(address: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"it has to be an address such as {schemes[-1]}://host")
    if "@" in parts.netloc:
        raise ValueError("an address takes no user name or password")
