import hashlib
import hmac

import pytest

from api.problems import Problem
from api.webhook import secret as subject
from api.webhook.secret import (
    SignatureMemory,
    Signed,
    authenticate,
    check_signature,
    is_secret,
    sign,
)
from engine.clock import NS_PER_SECOND

SECRET = "the owner's long secret"
NOW_S = 1_769_860_800
NOW = NOW_S * NS_PER_SECOND
RAW = b'{"action":"buy","symbol":"BTCUSDT"}'


def headers(timestamp: int | str = NOW_S, raw: bytes = RAW, secret: str = SECRET) -> dict[str, str]:
    return {"x-timestamp": str(timestamp), "x-signature": sign(secret, str(timestamp), raw)}


def assert_refused(given: dict[str, str], secret: str | None = SECRET, now_ns: int = NOW) -> None:
    with pytest.raises(Problem) as caught:
        check_signature(given, RAW, secret, now_ns)
    assert caught.value.status == 401
    assert [error.field for error in caught.value.errors] == ["secret"]


def test_the_signature_is_hmac_sha256_over_timestamp_dot_body() -> None:
    expected = hmac.new(SECRET.encode(), b"17." + RAW, hashlib.sha256).hexdigest()
    assert sign(SECRET, "17", RAW) == f"sha256={expected}"


def test_a_right_signature_is_taken_in_either_case_with_its_moment() -> None:
    given = headers()
    signed = Signed(given["x-signature"], NOW)
    assert check_signature(given, RAW, SECRET, NOW) == signed
    upper = given | {"x-signature": given["x-signature"].upper()}
    assert check_signature(upper, RAW, SECRET, NOW) == signed


@pytest.mark.parametrize("skew_s", [-300, 300])
def test_the_window_is_five_minutes_either_way(skew_s: int) -> None:
    assert check_signature(headers(NOW_S + skew_s), RAW, SECRET, NOW)


@pytest.mark.parametrize("skew_s", [-301, 301])
def test_outside_of_the_window_a_right_signature_is_wrong(skew_s: int) -> None:
    assert_refused(headers(NOW_S + skew_s))


def test_a_flipped_byte_or_another_secret_is_refused() -> None:
    assert_refused(headers(raw=RAW.replace(b"buy", b"bvy")))
    assert_refused(headers(secret="another"))
    assert_refused(headers(), secret=None)
    assert_refused({"x-timestamp": str(NOW_S), "x-signature": "sha256="})
    assert_refused({"x-timestamp": str(NOW_S), "x-signature": "sha256=\u00e9"})


@pytest.mark.parametrize("timestamp", ["", "now", "-5", "1.5", "\u0661", "9" * 13, "0x10"])
def test_a_timestamp_is_unix_seconds_in_plain_digits(timestamp: str) -> None:
    assert_refused(headers(timestamp))


def test_one_header_without_the_other_is_refused() -> None:
    assert_refused({"x-timestamp": str(NOW_S)})
    assert_refused({"x-signature": headers()["x-signature"]})


def test_no_headers_are_no_signature() -> None:
    assert check_signature({}, RAW, SECRET, NOW) is None


def test_nothing_is_right_while_no_secret_is_configured() -> None:
    assert is_secret(SECRET, SECRET)
    assert not is_secret("", None)
    assert not is_secret("", "")
    assert not is_secret(SECRET + " ", SECRET)
    assert not is_secret("\ud800", SECRET)


@pytest.mark.parametrize(
    "body", [{}, {"secret": None}, {"secret": "wrong"}, {"secret": ["x"]}, {"secret": ""}]
)
def test_a_body_without_the_right_secret_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(Problem) as caught:
        authenticate(body, None, SECRET, by_path=False)
    assert caught.value.status == 401


def test_one_proof_is_enough_but_a_wrong_secret_beside_it_is_refused() -> None:
    signed = Signed("x", NOW)
    authenticate({"secret": SECRET}, None, SECRET, by_path=False)
    authenticate({}, signed, SECRET, by_path=False)
    authenticate({}, None, SECRET, by_path=True)
    with pytest.raises(Problem):
        authenticate({"secret": "wrong"}, signed, SECRET, by_path=True)


def test_a_signature_is_remembered_until_its_time_has_passed() -> None:
    memory, signed = SignatureMemory(), Signed("x", NOW)
    assert not memory.has(signed, NOW)
    memory.keep(signed, NOW)
    assert memory.has(signed, NOW + 300 * NS_PER_SECOND)
    assert not memory.has(signed, NOW + 301 * NS_PER_SECOND)
    memory.drop(signed)
    assert not memory.has(signed, NOW)


def test_the_memory_is_bounded_and_forgets_what_is_over_first() -> None:
    memory = SignatureMemory()
    last_over, live = Signed("over", NOW - 400 * NS_PER_SECOND), Signed("live", NOW)
    memory.keep(last_over, NOW)
    memory.keep(live, NOW)
    for number in range(subject.MAX_REMEMBERED):
        memory.keep(Signed(str(number), NOW), NOW)
    assert not memory.has(last_over, 1)
    assert memory.has(Signed(str(subject.MAX_REMEMBERED - 1), NOW), NOW)
    for number in range(subject.MAX_REMEMBERED):
        memory.keep(Signed(f"more {number}", NOW), NOW)
    assert not memory.has(live, NOW)
