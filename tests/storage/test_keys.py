import base64
import hashlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from engine.model.errors import Retryable
from storage.database import write_transaction
from storage.keys import ApiKeys, KeyInfo
from storage.tables import Scope
from tests.storage.structs import NOON_NS, SECOND_NS


class HandClock:
    def __init__(self) -> None:
        self.at_ns = NOON_NS

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns


class CountingBytes:
    """Random bytes that can be foretold: each draw is filled with the next number."""

    def __init__(self) -> None:
        self.draws: list[int] = []

    def __call__(self, length: int) -> bytes:
        self.draws.append(length)
        return bytes([len(self.draws)]) * length


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def keys(engine: Engine, clock: HandClock) -> ApiKeys:
    return ApiKeys(engine, clock)


@pytest.mark.parametrize("scope", Scope)
def test_a_key_is_known_by_its_scope(keys: ApiKeys, scope: Scope):
    made = keys.create("phone", scope)
    assert keys.verify(made.key) is scope


def test_a_key_has_256_bits_from_the_random_source(engine: Engine, clock: HandClock):
    source = CountingBytes()
    made = ApiKeys(engine, clock, source).create("phone", Scope.READ)
    assert source.draws == [32, 16]
    text = made.key.removeprefix("tg_")
    assert base64.urlsafe_b64decode(text + "=") == b"\x01" * 32


def test_two_keys_differ(keys: ApiKeys):
    first, second = keys.create("a", Scope.READ), keys.create("a", Scope.READ)
    assert first.key != second.key
    assert first.id != second.id


def test_only_the_hash_and_a_prefix_are_stored(keys: ApiKeys, database_path: Path):
    made = keys.create("phone", Scope.READ)
    with sqlite3.connect(database_path) as connection:
        row = connection.execute("SELECT digest, prefix FROM api_keys").fetchone()
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert row == (hashlib.sha256(made.key.encode()).hexdigest(), made.key[:11])
    assert made.key not in dump


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: "",
        lambda key: key[:-1],
        lambda key: key + "A",
        lambda key: key[:11],
        lambda key: key.swapcase(),
        lambda key: key + "\u20ac",
        lambda key: "\ud800" + key,
        lambda key: "tg_" + "A" * 43,
    ],
)
def test_what_is_no_key_has_no_scope(keys: ApiKeys, spoil):
    made = keys.create("phone", Scope.ADMIN)
    assert keys.verify(spoil(made.key)) is None


def test_keys_with_one_prefix_are_told_apart(engine: Engine, clock: HandClock):
    draws = iter([b"same56" + bytes([n]) * (length - 6) for n in (1, 2) for length in (32, 16)])
    keys = ApiKeys(engine, clock, lambda length: next(draws))
    reader, trader = keys.create("r", Scope.READ), keys.create("t", Scope.TRADE)
    assert reader.key[:11] == trader.key[:11]
    assert keys.verify(reader.key) is Scope.READ
    assert keys.verify(trader.key) is Scope.TRADE


def test_a_revoked_key_is_dead_for_good(keys: ApiKeys, clock: HandClock):
    made, other = keys.create("a", Scope.TRADE), keys.create("b", Scope.TRADE)
    clock.at_ns += SECOND_NS
    assert keys.revoke(made.id)
    assert keys.verify(made.key) is None
    assert keys.verify(other.key) is Scope.TRADE
    clock.at_ns += SECOND_NS
    assert not keys.revoke(made.id)
    revoked = {info.id: info.revoked_at_ns for info in keys.list()}
    assert revoked == {made.id: NOON_NS + SECOND_NS, other.id: None}


def test_revoking_what_is_not_there_says_so(keys: ApiKeys):
    assert not keys.revoke("nothing")


def test_keys_are_listed_without_their_secret(keys: ApiKeys, clock: HandClock):
    assert keys.list() == ()
    first = keys.create("a", Scope.READ)
    clock.at_ns += SECOND_NS
    second = keys.create("b", Scope.ADMIN)
    assert keys.list() == (
        KeyInfo(first.id, "a", Scope.READ, first.key[:11], NOON_NS, None, None),
        KeyInfo(second.id, "b", Scope.ADMIN, second.key[:11], NOON_NS + SECOND_NS, None, None),
    )


def test_use_is_noted_at_most_once_a_minute(keys: ApiKeys, clock: HandClock):
    made = keys.create("a", Scope.READ)
    noted = []
    for passed_s in (0, 59, 60):
        clock.at_ns = NOON_NS + passed_s * SECOND_NS
        keys.verify(made.key)
        noted.append((keys.list()[0].last_used_at_ns - NOON_NS) // SECOND_NS)
    assert noted == [0, 0, 60]


def test_a_busy_writer_does_not_keep_a_key_out(keys: ApiKeys, engine: Engine):
    made = keys.create("a", Scope.READ)
    with write_transaction(engine):
        assert keys.verify(made.key) is Scope.READ
    assert keys.list()[0].last_used_at_ns is None


def test_no_key_is_given_out_that_was_not_stored(keys: ApiKeys, engine: Engine):
    with write_transaction(engine), pytest.raises(Retryable):
        keys.create("a", Scope.READ)
    assert keys.list() == ()
