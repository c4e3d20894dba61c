"""Exact amounts."""

import threading
from decimal import Decimal, getcontext

from hypothesis import given
from hypothesis import strategies as st

from engine.model.money import (
    MONEY_PRECISION,
    ceil_to_step,
    exact,
    floor_to_step,
    percent_of,
    plain,
    ratio,
)

D = Decimal
AMOUNTS = st.decimals("-1e12", "1e12", allow_nan=False, places=8)
STEPS = st.sampled_from([D("0.00000001"), D("0.001"), D("0.05"), D("0.25"), D(1), D(10), D(100)])


@given(AMOUNTS, AMOUNTS)
def test_products_of_money_are_not_rounded(a: Decimal, b: Decimal) -> None:
    as_integers = int(a.scaleb(8)) * int(b.scaleb(8))
    assert int((a * b).scaleb(16)) == as_integers


def test_other_threads_are_as_exact() -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(getcontext().prec))
    thread.start()
    thread.join()
    assert found == [MONEY_PRECISION]


@given(AMOUNTS, STEPS)
def test_rounding_to_a_step_stays_within_one_step_on_its_side(
    value: Decimal, step: Decimal
) -> None:
    down, up = floor_to_step(value, step), ceil_to_step(value, step)
    assert value - step < down <= value <= up < value + step
    assert down % step == up % step == 0
    assert (down == up) == (value % step == 0)


@given(AMOUNTS)
def test_plain_text_has_no_exponent_and_reads_back(value: Decimal) -> None:
    text = plain(value)
    assert D(text) == value
    assert "E" not in text
    assert text == "0" or not (("." in text) and text.endswith(("0", ".")))


def test_plain_text_of_round_and_tiny_amounts() -> None:
    samples = ["1E+2", "100", "1.500", "0E-8", "-0", "1.23E-8"]
    assert [plain(D(s)) for s in samples] == ["100", "100", "1.5", "0", "0", "0.0000000123"]


@given(st.integers(1, 10**15 - 1), st.integers(-15, 5))
def test_what_a_venue_wrote_survives_the_way_through_a_double(digits: int, exponent: int) -> None:
    written = D(digits).scaleb(exponent)
    assert exact(float(written)) == written


def test_a_quotient_is_rounded_half_even_at_eighteen_places() -> None:
    assert ratio(D(2), D(3)) == D("0.666666666666666667")
    assert ratio(D("0.000000000000000005"), D(10)) == 0
    assert ratio(D("0.000000000000000015"), D(10)) == D("2e-18")


def test_fifteen_per_cent_of_two_hundred_is_thirty() -> None:
    assert percent_of(D(200), D(15)) == 30
