"""What the doctor says of a venue's account."""

from typing import Any

import pytest
from msgspec.structs import replace

from api.doctor.findings import Finding, Grade, of_account, of_failure
from engine.model.instrument import Market
from engine.venues.account import AccountFacts, Outcome, RequestFailed, Verdict

DAY_NS = 86_400 * 10**9
NOW_NS = 1_800_000_000 * 10**9
GOOD = AccountFacts(
    offset_ms=12.0,
    round_trip_ms=80.0,
    may_trade=(Market.SPOT, Market.LINEAR),
    may_withdraw=False,
    may_transfer=False,
    bound_to_ip=True,
    hedged=False,
    balances=(("spot", "USDT", "1000"),),
    taker_fees=(("spot", "0.1"),),
)


def found(*, risky_allowed: bool = False, **changes: Any) -> dict[str, Finding]:
    facts = replace(GOOD, **changes)
    rows = of_account("bybit", facts, now_ns=NOW_NS, risky_allowed=risky_allowed)
    return {row.check: row for row in rows}


def test_a_good_key_has_nothing_to_be_done() -> None:
    rows = found()
    assert {row.grade for row in rows.values()} == {Grade.OK}
    assert not any(row.remedy for row in rows.values())
    assert rows.keys() == {
        "reachable", "clock", "key", "withdrawals", "address binding", "position mode",
        "balances", "taker fees",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("offset_ms", "grade"),
    [
        (499.0, Grade.OK),
        (500.0, Grade.WARNING),
        (-3_000.0, Grade.WARNING),
        (60_000.0, Grade.BAD),
        (-61_000.0, Grade.BAD),
    ],
)
def test_a_skewed_clock_is_told_with_the_way_to_set_it(offset_ms: float, grade: Grade) -> None:
    row = found(offset_ms=offset_ms)["clock"]
    assert row.grade is grade
    assert ("time synchronisation" in row.remedy) is (grade is not Grade.OK)
    if grade is not Grade.OK:
        assert ("behind" if offset_ms > 0 else "ahead") in row.detail


@pytest.mark.parametrize("right", ["may_withdraw", "may_transfer"])
def test_a_key_that_could_empty_the_account_is_refused_unless_it_is_meant(right: str) -> None:
    row = found(**{right: True})["withdrawals"]
    assert row.grade is Grade.BAD
    assert right.removeprefix("may_") in row.detail
    assert "ALLOW_RISKY_KEYS=yes" in row.remedy
    assert found(**{right: True}, risky_allowed=True)["withdrawals"].grade is Grade.WARNING


def test_a_key_without_trading_rights_is_bad_and_one_for_a_market_a_warning() -> None:
    assert found(may_trade=())["key"].grade is Grade.BAD
    row = found(may_trade=(Market.SPOT,))["key"]
    assert row.grade is Grade.WARNING
    assert "linear" in row.remedy


def test_a_key_that_works_from_anywhere_is_a_warning() -> None:
    assert found(bound_to_ip=False)["address binding"].grade is Grade.WARNING


@pytest.mark.parametrize(
    ("days", "grade"), [(15, Grade.OK), (14, Grade.WARNING), (1, Grade.WARNING), (0, Grade.BAD)]
)
def test_the_end_of_a_key_is_told_in_time(days: int, grade: Grade) -> None:
    row = found(expires_at_ns=NOW_NS + days * DAY_NS)["expiry"]
    assert row.grade is grade
    assert "2027-" in row.detail


def test_hedge_mode_an_empty_account_and_notes_are_told() -> None:
    rows = found(hedged=True, balances=(), notes=("the key has no futures",))
    assert "hedge" in rows["position mode"].detail
    assert rows["balances"].grade is Grade.WARNING
    assert rows["note"].detail == "the key has no futures"


def test_of_many_balances_the_first_are_shown_and_the_rest_counted() -> None:
    many = tuple(("", f"A{number}", "1") for number in range(9))
    detail = found(balances=many)["balances"].detail
    assert detail.startswith("1 A0, 1 A1")
    assert detail.endswith("and 3 more")


def test_without_fees_and_mode_nothing_is_said_of_them() -> None:
    assert found(hedged=None, taker_fees=()).keys().isdisjoint({"position mode", "taker fees"})


def failure(outcome: Outcome, remedy: str = "") -> dict[str, Finding]:
    error = RequestFailed(Verdict(outcome, remedy=remedy), "10003: invalid key", "10003")
    return {row.check: row for row in of_failure("bybit", error)}


def test_a_key_that_the_venue_refuses_is_told_with_its_remedy() -> None:
    rows = failure(Outcome.STOP, "renew it")
    assert rows["reachable"].grade is Grade.OK
    assert (rows["key"].grade, rows["key"].remedy) == (Grade.BAD, "renew it")
    assert "make a new key" in failure(Outcome.REJECTED)["key"].remedy


def test_a_venue_that_does_not_answer_is_not_a_bad_key() -> None:
    rows = failure(Outcome.UNKNOWN)
    assert rows.keys() == {"reachable"}
    assert rows["reachable"].grade is Grade.BAD
    assert "connection" in rows["reachable"].remedy
