"""Who may ask what of Binance's private side: keys, signatures and the time window.

Sources: request-security.md of the spot documentation ("SIGNED endpoint examples") and the general
information of USD-M futures. The signature is HMAC-SHA256, in hex, over the query and the body
exactly as they were sent, ``signature`` taken off their end.
"""

import hashlib
import hmac
import re
from typing import Any

from msgspec import Struct

from engine.model.instrument import Market
from engine.simulator.dialects.binance_private_params import (
    MAX_RECV_WINDOW_MS,
    Denied,
    Params,
)
from engine.simulator.dialects.binance_rest import BinanceError, missing
from engine.simulator.key_changes import KeyChanges

RECV_WINDOW_MS = 5_000
AHEAD_MS = 1_000

_KEY = re.compile(r"[A-Za-z0-9]{64}")
_SIGNED = re.compile(r"(?P<payload>.*?)&?signature=(?P<signature>[^&]*)", re.DOTALL)


class Key(Struct):
    """An API key with its permissions, as ``/sapi/v1/account/apiRestrictions`` tells them."""

    key: str
    secret: str
    created_ms: int = 1_700_000_000_000
    ip_bound: bool = True
    spot: bool = True
    futures: bool = True
    withdraws: bool = False
    transfers: bool = False
    read_only: bool = False
    elsewhere: bool = False
    expired: bool = False

    def sign(self, payload: str) -> str:
        """Return the signature of a payload, in hex."""
        return hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()

    def may_read(self, market: Market) -> bool:
        """Tell whether it may ask about a market: the futures right is for all of futures."""
        return market is Market.SPOT or self.futures

    def may_trade(self, market: Market) -> bool:
        """Tell whether it may place orders on a market."""
        return not self.read_only and (self.spot if market is Market.SPOT else self.futures)

    def change(self, changes: KeyChanges) -> None:
        """Take over what the control side says of the key."""
        for name, value in (
            ("spot", changes.trade_spot),
            ("futures", changes.trade_linear),
            ("read_only", changes.read_only),
            ("withdraws", changes.withdraw),
            ("transfers", changes.transfer),
            ("ip_bound", changes.ip_bound),
            ("elsewhere", changes.ip_elsewhere),
            ("expired", changes.expired),
        ):
            if value is not None:
                setattr(self, name, value)

    def restrictions(self) -> dict[str, Any]:
        """Return ``/sapi/v1/account/apiRestrictions`` (wallet documentation)."""
        trades = not self.read_only
        return {
            "ipRestrict": self.ip_bound,
            "createTime": self.created_ms,
            "enableReading": True,
            "enableWithdrawals": self.withdraws,
            "enableInternalTransfer": self.transfers,
            "enableMargin": False,
            "enableFutures": self.futures and trades,
            "permitsUniversalTransfer": self.transfers,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": True,
            "enableSpotAndMarginTrading": self.spot and trades,
            "enablePortfolioMarginTrading": False,
        }

    def check_key(self, given: str) -> None:
        """Refuse a key that is malformed (-2014) or not this one (-2015).

        Raises:
            Denied: HTTP 401.
        """
        if not _KEY.fullmatch(given):
            raise Denied(-2014, "API-key format invalid.", 401)
        if self.expired or self.elsewhere or not hmac.compare_digest(given, self.key):
            raise not_permitted()

    def check_signature(self, payload: str, signature: str) -> None:
        """Refuse a signature that does not fit what was sent (-1022)."""
        if not hmac.compare_digest(self.sign(payload).encode(), signature.encode()):
            raise BinanceError(-1022, "Signature for this request is not valid.")


def not_permitted() -> Denied:
    """Return the refusal of a key that is unknown or may not do this."""
    return Denied(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def split_signature(query: str, body: str) -> tuple[str, str]:
    """Return what was signed, and the signature: the last field of the body, else of the query.

    Raises:
        BinanceError: -1102 there is none, -1022 it is not last.
    """
    where = body if "signature=" in body else query
    found = _SIGNED.fullmatch(where)
    if found is None and "signature=" in where:
        raise BinanceError(-1022, "Signature for this request is not valid.")
    if found is None or not found["signature"]:
        raise missing("signature")
    if where is body:
        return query + found["payload"], found["signature"]
    return found["payload"] + body, found["signature"]


def check_time(params: Params, now_ms: int) -> None:
    """Refuse a request of another time (-1021) or with too wide a window (-1131).

    Accepted is ``timestamp < now + 1000 and now - timestamp <= recvWindow``.
    """
    window_ms = params.whole("recvWindow", RECV_WINDOW_MS)
    if window_ms > MAX_RECV_WINDOW_MS:
        raise BinanceError(-1131, f"recvWindow must be less than {MAX_RECV_WINDOW_MS}.")
    sent_ms = params.whole("timestamp")
    if sent_ms >= now_ms + AHEAD_MS:
        text = f"Timestamp for this request was {AHEAD_MS}ms ahead of the server's time."
        raise BinanceError(-1021, text)
    if now_ms - sent_ms > window_ms:
        raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")
