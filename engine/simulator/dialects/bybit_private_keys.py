"""Who may ask what of Bybit's private side: key, signature, time window, address, permission.

Sources: Bybit v5 docs, "Integration Guidance" (signature over timestamp, key, window and the query
or body as sent; accepted while server - window <= timestamp < server + 1000) and "Error Codes".
"""

import datetime
import hashlib
import hmac
from typing import Any

from msgspec import Struct

from engine.model.instrument import Market
from engine.simulator.dialects.bybit_errors import BybitError
from engine.simulator.dialects.calls import Call
from engine.simulator.key_changes import KeyChanges

RECV_WINDOW_MS = 5000
AHEAD_MS = 1000
LIFE_DAYS = 90
"""A key that is bound to no address ends after 90 days (docs, user/apikey-info)."""

CLOCK_OFF = 10002
BAD_KEY = 10003
BAD_SIGN = 10004
NOT_PERMITTED = 10005
BAD_ADDRESS = 10010
EXPIRED = 33004
ELSEWHERE = "192.0.2.1"
"""An address for documentation (RFC 5737): a key bound to it is bound to nobody here."""


class Unauthorised(Exception):
    """A request without the headers of a signed one: HTTP 401."""


class ApiKey(Struct):
    """The key as the venue keeps it.

    Attributes:
        trades: markets on which it may place orders.
        withdraws, transfers: rights that no trading key should have.
        ips: addresses that it is bound to; empty is every address.
        created_ms: venue time; ``expired`` overrides when it ends.
    """

    key: str
    secret: str
    created_ms: int
    trades: frozenset[Market] = frozenset(Market)
    read_only: bool = False
    withdraws: bool = False
    transfers: bool = False
    ips: tuple[str, ...] = ("127.0.0.1",)
    expired: bool = False

    def sign(self, payload: bytes) -> str:
        """Return the signature of what was sent, in hex."""
        return hmac.new(self.secret.encode(), payload, hashlib.sha256).hexdigest()

    def change(self, changes: KeyChanges) -> None:
        """Take over what the control side says of the key."""
        for market, trades in (
            (Market.SPOT, changes.trade_spot),
            (Market.LINEAR, changes.trade_linear),
        ):
            if trades is not None:
                self.trades = self.trades | {market} if trades else self.trades - {market}
        self.read_only = _or(changes.read_only, self.read_only)
        self.withdraws = _or(changes.withdraw, self.withdraws)
        self.transfers = _or(changes.transfer, self.transfers)
        self.expired = _or(changes.expired, self.expired)
        if changes.ip_bound is not None:
            self.ips = ("127.0.0.1",) if changes.ip_bound else ()
        if changes.ip_elsewhere:
            self.ips = (ELSEWHERE,)

    def check_call(self, call: Call, now_ms: int) -> None:
        """Let a signed request pass.

        Raises:
            BybitError: 10002 outside the time window, else as ``check_use``.
            Unauthorised: a header is missing.
        """
        given, signature = _header(call, "x-bapi-api-key"), _header(call, "x-bapi-sign")
        sent, window = _header(call, "x-bapi-timestamp"), call.headers.get("x-bapi-recv-window")
        window = str(RECV_WINDOW_MS) if window is None else window
        if not sent.isdecimal() or not window.isdecimal():
            raise BybitError("params error: timestamp or recv_window invalid")
        if not now_ms - int(window) <= int(sent) < now_ms + AHEAD_MS:
            raise BybitError(
                "invalid request, please check your server timestamp or recv_window param."
                f" req_timestamp[{sent}],server_timestamp[{now_ms}],recv_window[{window}]",
                CLOCK_OFF,
            )
        payload = call.query.encode("latin-1") if call.method == "GET" else call.body
        self.check_use(given, call.address)
        self.check_signature((sent + given + window).encode() + payload, signature)

    def check_use(self, given: str, address: str) -> None:
        """Let a key be used from an address.

        Raises:
            BybitError: 10003 unknown, 33004 expired, 10010 another address.
        """
        if not hmac.compare_digest(given.encode(), self.key.encode()):
            raise BybitError("API key is invalid.", BAD_KEY)
        if self.expired:
            raise BybitError("Your api key has expired.", EXPIRED)
        if self.ips and address not in self.ips:
            text = "Unmatched IP, please check your API key's bound IP addresses."
            raise BybitError(text, BAD_ADDRESS)

    def check_signature(self, payload: bytes, signature: str) -> None:
        """Refuse a signature that does not fit what was sent (10004)."""
        if not hmac.compare_digest(self.sign(payload).encode(), signature.encode()):
            text = f"error sign! origin_string[{payload.decode('utf-8', 'replace')}]"
            raise BybitError(text, BAD_SIGN)

    def check_permission(self, market: Market | None) -> None:
        """Refuse a change that the key may not make (10005)."""
        if self.read_only or (market is not None and market not in self.trades):
            text = "Permission denied, please check your API key permissions."
            raise BybitError(text, NOT_PERMITTED)

    def describe(self, now_ms: int) -> dict[str, Any]:
        """Return what the venue tells of its key (docs, user/apikey-info)."""
        left_days = 0 if self.expired else LIFE_DAYS - (now_ms - self.created_ms) // 86_400_000
        ends_ms = now_ms - 1000 if self.expired else self.created_ms + LIFE_DAYS * 86_400_000
        return {
            "id": "1",
            "note": "simulator",
            "apiKey": self.key,
            "readOnly": int(self.read_only),
            "secret": "",
            "permissions": self._permissions(),
            "ips": list(self.ips) or ["*"],
            "type": 1,
            "deadlineDay": left_days,
            "expiredAt": _iso(ends_ms),
            "createdAt": _iso(self.created_ms),
            "unified": 0,
            "uta": 1,
            "userID": 1,
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_DEFAULT",
            "kycRegion": "",
        }

    def _permissions(self) -> dict[str, list[str]]:
        linear, spot = Market.LINEAR in self.trades, Market.SPOT in self.trades
        wallet = ["AccountTransfer", "SubMemberTransfer"] if self.transfers else []
        return {
            "ContractTrade": ["Order", "Position"] if linear else [],
            "Spot": ["SpotTrade"] if spot else [],
            "Wallet": wallet + (["Withdraw"] if self.withdraws else []),
            "Options": [],
            "Derivatives": ["DerivativesTrade"] if linear else [],
            "CopyTrading": [],
            "BlockTrade": [],
            "Exchange": [],
            "NFT": [],
            "Affiliate": [],
        }


def _header(call: Call, name: str) -> str:
    value = call.headers.get(name)
    if not value:
        raise Unauthorised
    return value


def _or(changed: bool | None, now: bool) -> bool:
    return now if changed is None else changed


def _iso(time_ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(time_ms // 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
