"""Ids that can be derived again after a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.ids import (
    MAX_GENERATION,
    Purpose,
    client_order_id,
    encode_id,
    parse_client_order_id,
)

RAW = st.binary(min_size=16, max_size=16)


@given(RAW, st.sampled_from(Purpose), st.integers(0, MAX_GENERATION))
def test_a_client_order_id_is_derived_and_read_back(
    raw: bytes, purpose: Purpose, generation: int
) -> None:
    text = client_order_id(encode_id(raw), purpose, generation)
    assert len(text) <= 32
    assert text.isascii()
    assert text.isalnum()
    assert parse_client_order_id(text) == (encode_id(raw), purpose, generation)


@given(RAW, RAW)
def test_ids_differ_where_their_bytes_do(a: bytes, b: bytes) -> None:
    assert (encode_id(a) == encode_id(b)) == (a == b)


@given(st.text(max_size=40))
def test_what_others_write_is_not_ours(text: str) -> None:
    parsed = parse_client_order_id(text)
    assert parsed is None or client_order_id(*parsed) == text


@pytest.mark.parametrize(
    "text", ["", "a" * 26, "a" * 26 + "x", "a" * 26 + "x01", "a" * 26 + "z1", "A" * 26 + "x1"]
)
def test_near_misses_are_not_ours(text: str) -> None:
    assert parse_client_order_id(text) is None


@pytest.mark.parametrize("generation", [-1, MAX_GENERATION + 1])
def test_a_generation_that_would_not_fit_is_refused(generation: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        client_order_id("a" * 26, Purpose.EXIT, generation)


def test_an_id_is_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 15"):
        encode_id(bytes(15))
