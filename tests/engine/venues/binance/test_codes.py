"""Each row of the tables of error codes, written out from the documentation, not from them."""

import pytest

from engine.model.instrument import Market
from engine.model.order import Refusal
from engine.venues.account import Outcome
from engine.venues.binance.codes import BOTH, SPOT, SPOT_MESSAGES, USDM, judge

SECOND_NS = 1_000_000_000
MARKETS = list(Market)

IN_BOTH = {
    **dict.fromkeys((-1000, -1001, -1006, -1007, -1008), Outcome.UNKNOWN),
    **dict.fromkeys((-1002, -1022, -2014, -2015), Outcome.STOP),
    **dict.fromkeys((-1016, -1015, -1021), Outcome.RETRY),
    -1003: Outcome.WAIT,
    **dict.fromkeys((-1013, -1111), Refusal.FILTERS),
    **dict.fromkeys(
        (
            *(-1014, -1020, -1100, -1101, -1102, -1103, -1104, -1105, -1106),
            *(-1112, -1113, -1114, -1115, -1116, -1117, -1118, -1119, -1120, -1121),
            *(-1128, -1130, -1131, -2011, -2013),
        ),
        Refusal.OTHER,
    ),
}
IN_SPOT = dict.fromkeys((-1108, -1135, -1145, -1151, -2016, -2026), Refusal.OTHER)
IN_USDM = {
    -5028: Outcome.RETRY,
    **dict.fromkeys((-2017, -4088, -4109), Outcome.STOP),
    **dict.fromkeys((-4111, -4116), Outcome.UNKNOWN),
    **dict.fromkeys(
        (
            *(-4001, -4002, -4003, -4004, -4005, -4013, -4014, -4016, -4023, -4024),
            *(-4029, -4030, -4131, -4164),
        ),
        Refusal.FILTERS,
    ),
    **dict.fromkeys((-2022, -2024, -4118), Refusal.REDUCE_ONLY),
    **dict.fromkeys((-2018, -2019, -4050, -4051), Refusal.BALANCE),
    **dict.fromkeys(
        (
            *(-1108, -1109, -1110, -1125, -1136, -2020, -2021, -2023, -2025, -2027, -2028),
            *(-4015, -4028, -4045, -4046, -4047, -4048, -4055, -4061, -4067, -4068),
            *(-4087, -4120, -4140, -4141, -4142, -4161, -4168, -4192, -4400, -4401),
            *(-5021, -5022),
        ),
        Refusal.OTHER,
    ),
}


def check(verdict, expected):
    if isinstance(expected, Refusal):
        assert (verdict.outcome, verdict.refusal) == (Outcome.REJECTED, expected)
    else:
        assert verdict.outcome is expected
        assert bool(verdict.remedy) == (expected is Outcome.STOP)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("code", IN_BOTH)
def test_codes_that_both_markets_share(market, code):
    check(judge(market, 400, str(code), ""), IN_BOTH[code])


@pytest.mark.parametrize("code", IN_SPOT)
def test_codes_of_spot(code):
    check(judge(Market.SPOT, 400, str(code), ""), IN_SPOT[code])


@pytest.mark.parametrize("code", IN_USDM)
def test_codes_of_futures(code):
    check(judge(Market.LINEAR, 400, str(code), ""), IN_USDM[code])


def test_no_row_is_without_a_test():
    assert set(BOTH) == {str(code) for code in IN_BOTH}
    assert set(SPOT) == {str(code) for code in IN_BOTH | IN_SPOT}
    assert set(USDM) == {str(code) for code in IN_BOTH | IN_USDM}
    assert set(SPOT_MESSAGES) == set(MESSAGES)


MESSAGES = {
    "Duplicate order sent.": Outcome.UNKNOWN,
    "Account has insufficient balance for requested action.": Refusal.BALANCE,
    "Market is closed.": Refusal.OTHER,
    "Order would trigger immediately.": Refusal.OTHER,
    "Price * QTY is zero or less.": Refusal.FILTERS,
    "Market orders are not supported for this symbol.": Refusal.OTHER,
    "Stop loss orders are not supported for this symbol.": Refusal.OTHER,
    "This symbol is not permitted for this account.": Refusal.OTHER,
    "This symbol is restricted for this account.": Refusal.OTHER,
    "This action is disabled on this account.": Outcome.STOP,
    "This account may not place or cancel orders.": Outcome.STOP,
    "Rest API trading is not enabled.": Outcome.STOP,
}


@pytest.mark.parametrize("code", ["-2010", "-1010"])
@pytest.mark.parametrize("message", MESSAGES)
def test_a_refusal_of_spot_is_judged_by_its_text(code, message):
    check(judge(Market.SPOT, 400, code, message), MESSAGES[message])


def test_a_refusal_of_spot_with_another_text_is_one_all_the_same():
    check(judge(Market.SPOT, 400, "-2010", "Something new."), Refusal.OTHER)


def test_what_the_matching_engine_said_in_other_words_is_looked_up():
    check(judge(Market.SPOT, 400, "-1010", "Something new."), Outcome.UNKNOWN)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("code", ["", "-9999", "-2010", "404"])
def test_a_code_that_no_table_has_leaves_an_order_unknown(market, code):
    expected = Refusal.OTHER if (market, code) == (Market.SPOT, "-2010") else Outcome.UNKNOWN
    check(judge(market, 400, code, "?"), expected)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("code", ["", "-1121", "-1008"])
def test_a_server_error_never_tells_whether_it_was_done(market, status, code):
    check(judge(market, status, code, "Service Unavailable."), Outcome.UNKNOWN)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("status", [403, 418, 429])
def test_a_limit_or_ban_is_waited_for(market, status):
    named = judge(market, status, "-1003", "", 7 * SECOND_NS)
    assert (named.outcome, named.wait_ns) == (Outcome.WAIT, 7 * SECOND_NS)
    unnamed = judge(market, status, "", "")
    assert (unnamed.outcome, unnamed.wait_ns) == (Outcome.WAIT, 60 * SECOND_NS)


@pytest.mark.parametrize("market", MARKETS)
def test_too_many_orders_hold_up_that_order_only(market):
    verdict = judge(market, 429, "-1015", "Too many new orders", 10 * SECOND_NS)
    assert (verdict.outcome, verdict.wait_ns) == (Outcome.RETRY, 10 * SECOND_NS)


@pytest.mark.parametrize(
    ("market", "code"), [*((m, "-1021") for m in MARKETS), (Market.LINEAR, "-5028")]
)
def test_a_time_that_is_off_has_the_clock_set(market, code):
    verdict = judge(market, 400, code, "")
    assert (verdict.outcome, verdict.skewed) == (Outcome.RETRY, True)
