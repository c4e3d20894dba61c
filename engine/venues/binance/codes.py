"""What Binance's error answers say became of a request: one table per market.

Sources: spot documentation, "Error codes for Binance" (21 Jul 2026); USD-M documentation, "Error
Code" (21 Aug 2026); ../shared/wire/binance.md. A code that no table has may mean anything: an order
answered so is looked up. An HTTP status of 500 and more never tells whether it was executed.
"""

from collections.abc import Iterable, Mapping

from engine.clock import NS_PER_SECOND
from engine.model.instrument import Market
from engine.model.order import Refusal
from engine.venues.account import Outcome, Verdict

NO_SUCH_ORDER = frozenset({"-2011", "-2013"})
"""Answers to cancelling and asking: the venue has no such open order, or none at all."""

ARCHIVED = "-2026"
"""Spot: it ended without an execution more than 90 days ago, and is not kept."""

KEY_OR_PERMISSION = frozenset({"-2015", "-2014"})
WRONG_MODE = "-4061"
NOTHING_TO_CHANGE = "-4046"
NO_LISTEN_KEY = "-1125"
ORDER_RATE = "-1015"

NEW_KEY = "make a new API key at Binance and set BINANCE_API_KEY and BINANCE_API_SECRET"
KEY_REMEDY = (
    "check at Binance that the API key exists, may trade, and may be used from this machine's "
    "public address; a key of the testnet or demo works there only"
)
BAD_SIGNATURE = "the secret does not fit the key: set BINANCE_API_KEY and BINANCE_API_SECRET anew"
ACCOUNT_REMEDY = "Binance has disabled trading for this account: see its notices or ask its support"

UNKNOWN = Verdict(Outcome.UNKNOWN)
OTHER = Verdict(Outcome.REJECTED)
FILTERS = Verdict(Outcome.REJECTED, Refusal.FILTERS)
REDUCE_ONLY = Verdict(Outcome.REJECTED, Refusal.REDUCE_ONLY)
BALANCE = Verdict(Outcome.REJECTED, Refusal.BALANCE)
SKEWED = Verdict(Outcome.RETRY, skewed=True)
NOT_SENT = Verdict(Outcome.RETRY, wait_ns=NS_PER_SECOND // 2)
MAINTENANCE = Verdict(Outcome.RETRY, wait_ns=5 * NS_PER_SECOND)
TOO_MANY_REQUESTS = Verdict(Outcome.WAIT, wait_ns=60 * NS_PER_SECOND)
TOO_MANY_ORDERS = Verdict(Outcome.RETRY, wait_ns=10 * NS_PER_SECOND)


def _stop(remedy: str) -> Verdict:
    return Verdict(Outcome.STOP, remedy=remedy)


def _rows(verdict: Verdict, codes: Iterable[int]) -> dict[str, Verdict]:
    return {str(code): verdict for code in codes}


BOTH: Mapping[str, Verdict] = {
    # -1008 (overloaded) is told to be a refusal; being wrong would be a second order.
    **_rows(UNKNOWN, (-1000, -1001, -1006, -1007, -1008)),
    "-1002": _stop(KEY_REMEDY),
    "-1003": TOO_MANY_REQUESTS,
    "-1015": TOO_MANY_ORDERS,
    "-1016": MAINTENANCE,
    "-1021": SKEWED,
    "-1022": _stop(BAD_SIGNATURE),
    "-2014": _stop(NEW_KEY),
    "-2015": _stop(KEY_REMEDY),
    **_rows(FILTERS, (-1013, -1111)),
    # The request itself is wrong: it was not read to its end.
    **_rows(OTHER, (-1014, -1020, *range(-1121, -1111), *range(-1106, -1099), -1128, -1130, -1131)),
    **_rows(OTHER, (-2011, -2013)),
}
"""What both markets mean alike."""

SPOT: Mapping[str, Verdict] = {
    **BOTH,
    **_rows(OTHER, (-1108, -1135, -1145, -1151, -2016, -2026)),
}

SPOT_MESSAGES: Mapping[str, Verdict] = {
    "Duplicate order sent.": UNKNOWN,
    "Account has insufficient balance for requested action.": BALANCE,
    "Market is closed.": OTHER,
    "Order would trigger immediately.": OTHER,
    "Price * QTY is zero or less.": FILTERS,
    "Market orders are not supported for this symbol.": OTHER,
    "Stop loss orders are not supported for this symbol.": OTHER,
    "This symbol is not permitted for this account.": OTHER,
    "This symbol is restricted for this account.": OTHER,
    "This action is disabled on this account.": _stop(ACCOUNT_REMEDY),
    "This account may not place or cancel orders.": _stop(ACCOUNT_REMEDY),
    "Rest API trading is not enabled.": _stop(ACCOUNT_REMEDY),
}
"""Texts of -2010 and -1010 (spot errors.md, "Messages for -1010, -2010, or -2011"); any other of
-2010 is a refusal, of -1010 it is not known."""

USDM: Mapping[str, Verdict] = {
    **BOTH,
    "-5028": SKEWED,
    "-2017": _stop(NEW_KEY),
    "-4088": _stop(ACCOUNT_REMEDY),
    "-4109": _stop(ACCOUNT_REMEDY),
    # -4111 is not documented; it was reported for a client id that is in use.
    **_rows(UNKNOWN, (-4111, -4116)),
    # Quantity and price bounds and steps, the percent-price band, the smallest value.
    **_rows(FILTERS, (-4001, -4002, -4003, -4004, -4005, -4013, -4014, -4016, -4023, -4024)),
    **_rows(FILTERS, (-4029, -4030, -4131, -4164)),
    **_rows(REDUCE_ONLY, (-2022, -2024, -4118)),
    **_rows(BALANCE, (-2018, -2019, -4050, -4051)),
    **_rows(OTHER, (-1108, -1109, -1110, -1136, -2020, -2021, -2023, -2025, -2027, -2028)),
    **_rows(OTHER, (-4015, -4028, -4045, -4046, -4047, -4048, -4055, -4061, -4067, -4068)),
    **_rows(OTHER, (-4087, -4120, -4140, -4141, -4142, -4161, -4168, -4192, -4400, -4401)),
    **_rows(OTHER, (-5021, -5022, -1125)),
}

TABLES: Mapping[Market, Mapping[str, Verdict]] = {Market.SPOT: SPOT, Market.LINEAR: USDM}

STATUSES: Mapping[int, Verdict] = {
    403: TOO_MANY_REQUESTS,
    418: TOO_MANY_REQUESTS,
    429: TOO_MANY_REQUESTS,
}
"""Refusals by HTTP status: the firewall, a ban, a rate limit; never executed."""


def judge(market: Market, status: int, code: str, message: str, wait_ns: int = 0) -> Verdict:
    """Say what an error answer means.

    Args:
        status: of HTTP, or of an answer of the WebSocket API.
        code: the venue's own as text, empty where it told none.
        wait_ns: for how long the venue asked for silence; 0 where it named no time.
    """
    if status in STATUSES:
        if code == ORDER_RATE:  # no ban: other requests are taken
            return TOO_MANY_ORDERS
        return Verdict(Outcome.WAIT, wait_ns=wait_ns or STATUSES[status].wait_ns)
    if status >= 500:
        return UNKNOWN
    if market is Market.SPOT and code in {"-2010", "-1010"}:
        return SPOT_MESSAGES.get(message, OTHER if code == "-2010" else UNKNOWN)
    return TABLES[market].get(code, UNKNOWN)
