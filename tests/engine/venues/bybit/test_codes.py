import pytest

from engine.model.order import Refusal
from engine.venues.account import Outcome
from engine.venues.bybit.codes import (
    CODES,
    GONE,
    RATE_LIMITED,
    UNCHANGED,
    judge_code,
    judge_http,
    refusal_of,
)

SECOND_NS = 1_000_000_000

# Written out from the venue's documentation, not from the table that is tested.
UNKNOWN = [10000, 10016, 10019, 170007, 170032, 170146, 170147, 110079]
DUPLICATE = [10014, 110072, 170141]
CLOCK = [10002, -1]
STOPPED = {
    10003: "BYBIT_API_KEY",
    10004: "BYBIT_API_SECRET",
    10005: "read-write",
    10007: "new API key",
    10008: "support",
    10009: "another address",
    10010: "add this host's",
    10024: "compliance",
    10027: "support",
    10028: "unified",
    33004: "expired",
}
LIMITED = {
    10006: (Outcome.RETRY, 1),
    170222: (Outcome.RETRY, 1),
    10018: (Outcome.WAIT, 5),
    10429: (Outcome.WAIT, 5),
}
REFUSED = {
    Refusal.REDUCE_ONLY: [110017],
    Refusal.BALANCE: [110004, 110007, 110012, 110044, 110045, 170131, 170033],
    Refusal.FILTERS: [
        *(10001, 110094, 170124, 170132, 170133, 170134, 170135, 170136, 170137, 170140, 170148),
        *(110003, 110120, 110121, 30208, 30209, 170193, 170194),
    ],
    Refusal.OTHER: [
        *(110001, 110008, 110010, 170139, 170142, 170143, 170213),
        *(110009, 110020, 110061, 170810),
        *(110023, 110042, 110066, 110074, 170031),
        *(110092, 110093),
        *(34040, 110025, 110026, 110043, 3400045),
    ],
}


@pytest.mark.parametrize("code", UNKNOWN)
def test_an_answer_of_a_venue_in_trouble_leaves_the_outcome_unknown(code):
    assert judge_code(code).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("code", DUPLICATE)
def test_an_id_that_is_there_already_is_looked_up_and_never_taken_for_refused(code):
    assert judge_code(code).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("code", CLOCK)
def test_a_clock_that_is_off_is_set_before_the_same_request_goes_again(code):
    verdict = judge_code(code)
    assert (verdict.outcome, verdict.skewed, verdict.wait_ns) == (Outcome.RETRY, True, 0)


@pytest.mark.parametrize(("code", "part"), STOPPED.items())
def test_what_only_the_owner_can_put_right_says_how(code, part):
    verdict = judge_code(code)
    assert verdict.outcome is Outcome.STOP
    assert part in verdict.remedy


@pytest.mark.parametrize(("code", "expected"), LIMITED.items())
def test_a_rate_limit_of_one_endpoint_holds_up_that_request_and_one_of_the_address_all(
    code, expected
):
    outcome, seconds = expected
    verdict = judge_code(code)
    assert (verdict.outcome, verdict.wait_ns) == (outcome, seconds * SECOND_NS)


@pytest.mark.parametrize(
    ("code", "refusal"), [(code, refusal) for refusal, codes in REFUSED.items() for code in codes]
)
def test_a_refusal_for_good_says_what_may_be_done_next(code, refusal):
    verdict = judge_code(code)
    assert (verdict.outcome, verdict.refusal) == (Outcome.REJECTED, refusal)


def test_every_row_of_the_table_has_a_test():
    refused = [code for codes in REFUSED.values() for code in codes]
    tested = [*UNKNOWN, *DUPLICATE, *CLOCK, *STOPPED, *LIMITED, *refused]
    assert len(tested) == len(set(tested))
    assert set(tested) == set(CODES)


def test_a_code_that_is_not_listed_may_have_been_an_order_taken():
    assert judge_code(987654).outcome is Outcome.UNKNOWN


def test_codes_with_a_meaning_of_their_own_are_in_the_table():
    assert {int(code) for code in UNCHANGED | GONE | RATE_LIMITED} <= set(CODES)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 400, 404, 302])
def test_an_http_error_leaves_the_outcome_unknown(status):
    assert judge_http(status).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("status", "seconds"), [(403, 600), (429, 60), (418, 300)])
def test_an_http_ban_is_waited_for(status, seconds):
    verdict = judge_http(status)
    assert (verdict.outcome, verdict.wait_ns) == (Outcome.WAIT, seconds * SECOND_NS)


def test_an_http_401_is_a_key_that_is_none():
    assert judge_http(401).outcome is Outcome.STOP


@pytest.mark.parametrize(
    ("reason", "cancel_type", "refusal"),
    [
        ("EC_NoError", "UNKNOWN", Refusal.OTHER),
        ("EC_NoImmediateQtyToFill", "", Refusal.OTHER),
        ("EC_EcInvalidQty", "", Refusal.FILTERS),
        ("EC_QtyCannotBeZero", "", Refusal.FILTERS),
        ("EC_InvalidAmount", "", Refusal.FILTERS),
        ("EC_InvalidBaseValue", "", Refusal.FILTERS),
        ("EC_InvalidPriceScale", "", Refusal.FILTERS),
        ("EC_LimitOrderInvalidPrice", "", Refusal.FILTERS),
        ("EC_ReachRiskPriceLimit", "", Refusal.FILTERS),
        ("EC_ReachMarketPriceLimit", "", Refusal.FILTERS),
        ("EC_CancelByOrderValueZero", "", Refusal.FILTERS),
        ("EC_NoError", "CancelByReduceOnly", Refusal.REDUCE_ONLY),
        ("EC_NoError", "CancelByCannotAffordOrderCost", Refusal.BALANCE),
        ("EC_NoError", "CancelByPmTrialMmOverEquity", Refusal.BALANCE),
    ],
)
def test_a_rejection_after_the_answer_says_what_may_be_done_next(reason, cancel_type, refusal):
    assert refusal_of(reason, cancel_type) is refusal
