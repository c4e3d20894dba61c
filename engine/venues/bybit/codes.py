"""What Bybit's error answers mean for the request that got them, as one table.

Source of the codes: the v5 documentation, "Error Codes", and its "Rate Limit Rules". A code that is
not listed says nothing about whether an order was taken, so it is ``unknown`` and looked up.
"""

from collections.abc import Mapping

from engine.model.order import Refusal
from engine.venues.account import Outcome, Verdict
from engine.venues.rest import DEFAULT_PAUSE_SECONDS

NS_PER_SECOND = 1_000_000_000

UNKNOWN = Verdict(Outcome.UNKNOWN)
NOT_SENT = Verdict(Outcome.RETRY)
"""The request never reached the socket."""

_OTHER = Verdict(Outcome.REJECTED)
_FILTERS = Verdict(Outcome.REJECTED, Refusal.FILTERS)
_REDUCE_ONLY = Verdict(Outcome.REJECTED, Refusal.REDUCE_ONLY)
_BALANCE = Verdict(Outcome.REJECTED, Refusal.BALANCE)
_CLOCK = Verdict(Outcome.RETRY, skewed=True)


def _wait(seconds: float) -> Verdict:
    return Verdict(Outcome.WAIT, wait_ns=round(seconds * NS_PER_SECOND))


def _limit(seconds: float) -> Verdict:
    return Verdict(Outcome.RETRY, wait_ns=round(seconds * NS_PER_SECOND))


def _stop(remedy: str) -> Verdict:
    return Verdict(Outcome.STOP, remedy=remedy)


_KEY = "Bybit does not know the API key: check BYBIT_API_KEY, and that it is of this trading mode"

CODES: Mapping[int, Verdict] = {
    # Timed out or failed inside the venue: it may have been taken.
    10000: UNKNOWN,
    10016: UNKNOWN,
    10019: UNKNOWN,
    170007: UNKNOWN,
    170032: UNKNOWN,
    170146: UNKNOWN,
    170147: UNKNOWN,
    110079: UNKNOWN,  # the order is being processed
    # The id is there already: an order of ours was taken, perhaps this one.
    10014: UNKNOWN,
    110072: UNKNOWN,
    170141: UNKNOWN,
    # Outside the timestamp window: not looked at.
    10002: _CLOCK,
    -1: _CLOCK,
    # Key, signature, permission, address.
    10003: _stop(_KEY),
    10004: _stop("Bybit refuses the signature: check BYBIT_API_SECRET"),
    10005: _stop("The Bybit key may not do this: give it read-write orders and positions"),
    10007: _stop("Bybit does not accept the key's login: make a new API key"),
    10008: _stop("Bybit has banned the account: ask its support"),
    10009: _stop("Bybit has banned this address: ask its support, or move to another address"),
    10010: _stop("The Bybit key is bound to other addresses: add this host's to the key"),
    10024: _stop("Bybit's compliance rules bar this account: see its notice"),
    10027: _stop("Bybit has barred the account from trading: ask its support"),
    10028: _stop("Bybit wants a unified trading account: upgrade it on its site"),
    33004: _stop("The Bybit key has expired: make a new one"),
    # Too many requests: of this endpoint, whose limits roll each second; of all, in 5 s.
    10006: _limit(1.0),
    170222: _limit(1.0),
    10018: _wait(5.0),
    10429: _wait(5.0),
    # Nothing to reduce.
    110017: _REDUCE_ONLY,
    # Too little is free.
    110004: _BALANCE,
    110007: _BALANCE,
    110012: _BALANCE,
    110044: _BALANCE,
    110045: _BALANCE,
    170131: _BALANCE,
    170033: _BALANCE,
    # Below a minimum, above a maximum, off a step, or a parameter that is none.
    10001: _FILTERS,
    110094: _FILTERS,
    170124: _FILTERS,
    170132: _FILTERS,
    170133: _FILTERS,
    170134: _FILTERS,
    170135: _FILTERS,
    170136: _FILTERS,
    170137: _FILTERS,
    170140: _FILTERS,
    170148: _FILTERS,
    # Outside the price band.
    110003: _FILTERS,
    110120: _FILTERS,
    110121: _FILTERS,
    30208: _FILTERS,
    30209: _FILTERS,
    170193: _FILTERS,
    170194: _FILTERS,
    # Not found, or done already (told of cancelling and amending).
    110001: _OTHER,
    110008: _OTHER,
    110010: _OTHER,
    170139: _OTHER,
    170142: _OTHER,
    170143: _OTHER,
    170213: _OTHER,
    # Too many orders.
    110009: _OTHER,
    110020: _OTHER,
    110061: _OTHER,
    170810: _OTHER,
    # The symbol takes no such orders now.
    110023: _OTHER,
    110042: _OTHER,
    110066: _OTHER,
    110074: _OTHER,
    170031: _OTHER,
    # The trigger price has been passed.
    110092: _OTHER,
    110093: _OTHER,
    # It is as was asked for.
    34040: _OTHER,
    110025: _OTHER,
    110026: _OTHER,
    110043: _OTHER,
    # The margin mode cannot be changed now.
    3400045: _OTHER,
}

UNCHANGED = frozenset({"34040", "110025", "110026", "110043"})
"""Answers to a setting that is as was asked for."""

GONE = frozenset({"110001", "110008", "110010", "170139", "170142", "170143", "170213"})
"""Answers to cancelling an order that is not there (any more)."""

PARAMETER = "10001"
"""Also what an order gets whose ``positionIdx`` is not of the position mode."""

RATE_LIMITED = frozenset({"10006", "170222"})
"""Limits of one endpoint; their answer names the moment they reset."""

REASONS: Mapping[str, Refusal] = {
    "EC_QtyCannotBeZero": Refusal.FILTERS,
    "EC_EcInvalidQty": Refusal.FILTERS,
    "EC_InvalidAmount": Refusal.FILTERS,
    "EC_InvalidBaseValue": Refusal.FILTERS,
    "EC_InvalidPriceScale": Refusal.FILTERS,
    "EC_LimitOrderInvalidPrice": Refusal.FILTERS,
    "EC_ReachRiskPriceLimit": Refusal.FILTERS,
    "EC_ReachMarketPriceLimit": Refusal.FILTERS,
    "EC_CancelByOrderValueZero": Refusal.FILTERS,
}
"""``rejectReason`` of an order that was refused after its request was answered (v5 documentation,
"Enums Definitions")."""

CANCEL_TYPES: Mapping[str, Refusal] = {
    "CancelByReduceOnly": Refusal.REDUCE_ONLY,
    "CancelByCannotAffordOrderCost": Refusal.BALANCE,
    "CancelByPmTrialMmOverEquity": Refusal.BALANCE,
}
"""``cancelType`` where it tells more than ``rejectReason``."""


def judge_code(code: int) -> Verdict:
    """Say what a ``retCode`` means; 0 is no error and is not asked for."""
    return CODES.get(code, UNKNOWN)


def judge_http(status: int) -> Verdict:
    """Say what an HTTP status other than 200 means.

    403 is a ban by address (600 requests in 5 s) or by country, for at least 10 minutes. 401 is
    a key that is none. 5xx and what is not listed may come from behind the matching engine.
    """
    if status == 401:
        return _stop(_KEY)
    if status in DEFAULT_PAUSE_SECONDS:
        return _wait(DEFAULT_PAUSE_SECONDS[status])
    return UNKNOWN


def refusal_of(reject_reason: str, cancel_type: str) -> Refusal:
    """Say what may be done after a rejection that came later than the answer."""
    return CANCEL_TYPES.get(cancel_type) or REASONS.get(reject_reason, Refusal.OTHER)
