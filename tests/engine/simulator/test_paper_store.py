import sqlite3
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.errors import Misconfigured, Retryable
from engine.model.events import VenuePosition
from engine.model.instrument import InstrumentId, Market
from engine.model.money import plain
from engine.model.order import OrderSide, OrderStatus
from engine.simulator.matching import VenueModel
from engine.simulator.paper_store import PaperStore, take_changes
from tests.engine.simulator.paper_parts import (
    BUY,
    ETH,
    NOON_MS,
    NOON_NS,
    PERP,
    SECOND,
    SELL,
    SPOT,
    D,
    flows,
    mark,
    order,
    quote,
    rows,
    rules,
)

OPENING = {"USDT": D(10_000)}
FIRST_ID = 5_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paper.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[PaperStore]:
    store = PaperStore(path, "bybit", busy_timeout_s=0.05)
    yield store
    store.close()


def load(
    store: PaperStore, opening: dict[str, Decimal] = OPENING, first_id: int = FIRST_ID, **its: Any
) -> VenueModel:
    return store.load(rules(**its), opening, first_id, 0)


def reload(path: Path, **its: Any) -> VenueModel:
    """What a new process finds."""
    store = PaperStore(path, "bybit")
    try:
        return load(store, **its)
    finally:
        store.close()


def buy(model: VenueModel, key: str, qty: str, price: float = 100.0, **changes: Any) -> None:
    wanted = order(key, BUY, qty, **changes)
    model.submit(wanted, 0, NOON_NS)
    model.on_tick(quote(price, price, SECOND, wanted.instrument, 0.5), NOON_NS)


def by_instrument(model: VenueModel) -> dict[InstrumentId, VenuePosition]:
    return {position.instrument: position for position in model.venue_positions()}


def same(found: VenueModel, expected: VenueModel) -> bool:
    """Tell whether two models have the same books."""
    return (
        found.account == expected.account
        and found.next_id == expected.next_id
        and found.funding == expected.funding
        and {k: v.fills for k, v in found.orders.items()}
        == {k: v.fills for k, v in expected.orders.items()}
        and all(
            found.look_up(key, NOON_NS) == expected.look_up(key, NOON_NS) for key in expected.orders
        )
        and found.has_pending == expected.has_pending
        and by_instrument(found) == by_instrument(expected)
    )


def test_a_new_account_starts_with_its_opening_balances(store: PaperStore):
    model = load(store, {"USDT": D("10000"), "USDC": D("0.5")})
    assert model.account.wallet == {"USDT": D(10_000), "USDC": D("0.5")}
    assert model.next_id == FIRST_ID


def test_everything_comes_back_as_it_was_written(store: PaperStore, path: Path):
    model = load(store, leverage=D(3))
    buy(model, "spot", "1.5")
    buy(model, "perp", "2", 100.1, instrument=PERP)
    model.on_tick(mark(100.0, NOON_MS, NOON_MS + 9, 0.000_123_4), NOON_NS)
    model.submit(order("refused", BUY, "0.0001"), 0, NOON_NS)
    model.submit(order("waits", SELL, "1", instrument=PERP, reduce_only=True), 0, NOON_NS)
    store.write(take_changes(model))
    found = reload(path, leverage=D(3))
    assert same(found, model)
    assert found.look_up("waits", 0).status is OrderStatus.ACKNOWLEDGED
    assert found.look_up("refused", 0).status is OrderStatus.REJECTED


def test_the_record_is_readable_text(store: PaperStore, path: Path):
    model = load(store)
    buy(model, "a", "0.3", 100.01)
    store.write(take_changes(model))
    assert rows(path, "SELECT * FROM wallets ORDER BY asset") == [
        ("bybit", "BTC", "0.2997", "0.2997", "0"),
        ("bybit", "USDT", "9969.997", "9969.997", "0"),
    ]
    (fill,) = rows(path, "SELECT * FROM fills")
    assert fill == (
        *("bybit", "5002", "5001", "a", "spot", "BTCUSDT", "buy"),
        *("0.3", "100.01", "0.0003", "BTC", "trade", NOON_NS),
    )


def test_ids_go_on_from_the_higher_of_the_record_and_the_clock(store: PaperStore, path: Path):
    model = load(store)
    buy(model, "a", "1")
    store.write(take_changes(model))
    assert load(store, first_id=1).next_id == model.next_id > FIRST_ID
    assert load(store, first_id=9_999).next_id == 9_999


def test_an_asset_new_to_the_account_is_credited_once(store: PaperStore, path: Path):
    model = load(store)
    model.account.add("USDT", D(-10_000))
    store.write(take_changes(model))
    both = {"USDT": D(10_000), "USDC": D(10_000)}
    model = load(store, both)
    assert model.account.wallet == {"USDT": D(0), "USDC": D(10_000)}
    model.account.add("USDC", D(-1))
    store.write(take_changes(model))
    assert load(store, both).account.wallet == {"USDT": D(0), "USDC": D(9_999)}


def test_an_asset_bought_before_is_still_credited_when_it_becomes_a_quote(store: PaperStore):
    model = load(store)
    buy(model, "a", "1")
    store.write(take_changes(model))
    assert load(store, {**OPENING, "BTC": D(7)}).account.total("BTC") == D("7.999")


def test_a_position_keeps_its_leverage_over_a_changed_setting(store: PaperStore):
    model = load(store, leverage=D(10))
    buy(model, "a", "1", instrument=PERP)
    store.write(take_changes(model))
    found = load(store, leverage=D(2))
    assert found.account.locked("USDT") == model.account.locked("USDT")
    assert found.venue_positions() == model.venue_positions()


def test_closed_positions_and_settled_funding_leave_the_record(store: PaperStore, path: Path):
    model = load(store)
    buy(model, "a", "1", instrument=PERP)
    model.on_tick(mark(100.0, NOON_MS, NOON_MS + 9, 0.0001), NOON_NS)
    store.write(take_changes(model))
    assert len(rows(path, "SELECT * FROM positions")) == 1
    model.on_tick(mark(100.0, NOON_MS + 9, NOON_MS + 9, 0.0001), NOON_NS)
    model.submit(order("x", SELL, "1", instrument=PERP), 0, NOON_NS)
    model.on_tick(quote(100, 101, SECOND, PERP), NOON_NS)
    store.write(take_changes(model))
    assert rows(path, "SELECT * FROM positions") == []
    assert rows(path, "SELECT * FROM funding_due") == []
    assert [row[4] for row in rows(path, "SELECT * FROM funding")] == ["0.01"]
    assert same(reload(path), model)


def test_funding_due_in_a_downtime_is_settled_once_after_it(store: PaperStore, path: Path):
    model = load(store)
    buy(model, "a", "1", instrument=PERP)
    model.on_tick(mark(100.0, NOON_MS, NOON_MS + 9, 0.0001), NOON_NS)
    assert model.unsaved
    store.write(take_changes(model))
    assert not model.unsaved
    late = mark(200.0, NOON_MS + 5_000, NOON_MS + 9_000, 0.5)
    after = load(store)
    reports = after.on_tick(late, NOON_NS)
    assert [paid.amount for paid in after.new_funding] == [D("0.02")]
    assert reports
    store.write(take_changes(after))
    assert load(store).on_tick(late, NOON_NS) == []


def test_a_reused_client_order_id_keeps_both_orders_on_record(store: PaperStore, path: Path):
    model = load(store, ids_unique_for_ever=False)
    buy(model, "a", "1")
    store.write(take_changes(model))
    buy(model, "a", "2")
    store.write(take_changes(model))
    assert len(rows(path, "SELECT * FROM orders WHERE client_order_id = 'a'")) == 2
    assert load(store).look_up("a", 0).qty == 2


def test_two_venues_share_the_file(store: PaperStore, path: Path):
    other = PaperStore(path, "binance")
    models = [load(store), other.load(rules(venue="binance"), {"USDT": D(7)}, 1, 0)]
    buy(models[0], "a", "1")
    for its, model in zip((store, other), models, strict=True):
        its.write(take_changes(model))
    assert same(load(store), models[0])
    assert same(other.load(rules(venue="binance"), {"USDT": D(7)}, 1, 0), models[1])
    other.close()


# Refusals of SQLite


def test_a_locked_record_is_retryable_and_takes_the_same_batch_later(store: PaperStore, path: Path):
    model = load(store)
    buy(model, "a", "1")
    changes = take_changes(model)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        with pytest.raises(Retryable, match=r"the paper account's record refuses: .*locked"):
            store.write(changes)
    other.execute("ROLLBACK")
    other.close()
    store.write(changes)
    assert same(load(store), model)


def test_a_batch_that_was_written_may_be_written_again(store: PaperStore, path: Path):
    model = load(store)
    buy(model, "a", "1.2")
    model.on_tick(mark(100.0, NOON_MS, NOON_MS + 9, 0.0001), NOON_NS)
    changes = take_changes(model)
    store.write(changes)
    store.write(changes)
    assert len(rows(path, "SELECT * FROM fills")) == 3
    assert same(load(store), model)


@pytest.mark.parametrize("table", ["wallets", "fills"])
def test_a_write_that_is_rolled_back_by_sqlite_leaves_nothing_and_bars_nothing(
    store: PaperStore, path: Path, table: str
):
    model = load(store)
    store.write(take_changes(model))
    before = rows(path, "SELECT * FROM wallets")
    buy(model, "a", "1")
    changes = take_changes(model)
    store._db.execute(
        f"CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="no"):
        store.write(changes)
    assert rows(path, "SELECT * FROM wallets") == before
    store._db.execute("DROP TRIGGER no")
    store.write(changes)
    assert same(load(store), model)


def test_a_refused_commit_does_not_bar_the_next_one(store: PaperStore, path: Path):
    model = load(store)
    buy(model, "a", "1")
    changes = take_changes(model)
    store._db.set_authorizer(deny_commit)
    with pytest.raises(Retryable, match="not authorized"):
        store.write(changes)
    assert rows(path, "SELECT * FROM fills") == []
    store._db.set_authorizer(None)
    store.write(changes)
    assert same(load(store), model)


def deny_commit(action: int, first: str | None, *_: Any) -> int:
    is_commit = action == sqlite3.SQLITE_TRANSACTION and first == "COMMIT"
    return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK


def test_a_full_disk_is_retryable(path: Path):
    store = PaperStore(path, "bybit")
    model = load(store)
    store.write(take_changes(model))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(20):
        buy(model, f"order{number}", "1")
    changes = take_changes(model)
    with pytest.raises(Retryable, match="full"):
        store.write(changes)
    assert rows(path, "SELECT * FROM fills") == []
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.write(changes)
    assert same(load(store), model)
    store.close()


def test_a_closed_record_is_a_mistake_of_ours(path: Path):
    store = PaperStore(path, "bybit")
    changes = take_changes(load(store))
    store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        store.write(changes)


def test_a_file_that_is_no_record_is_named(path: Path):
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(Misconfigured, match=r"paper\.sqlite in DATA_DIR.*not a database"):
        PaperStore(path, "bybit")


def test_a_record_of_another_version_is_not_touched(path: Path):
    PaperStore(path, "bybit").close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(Misconfigured, match="its version is 7, not 1"):
        PaperStore(path, "bybit")


def test_a_record_is_synchronous(store: PaperStore):
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# The record equals the model

STEPS = st.lists(
    st.tuples(
        st.sampled_from([SPOT, PERP, ETH]),
        st.sampled_from(OrderSide),
        st.decimals("0.01", 3, places=2),
        st.integers(2_000, 40_000),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=25)
@given(steps=STEPS, leverage=st.sampled_from([1, 3, 20]))
def test_the_record_equals_the_model_after_every_batch(steps: list[Any], leverage: int):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paper.sqlite"
        store = PaperStore(path, "bybit")
        store._db.execute("PRAGMA synchronous=OFF")
        model = load(store, leverage=D(leverage))
        for number, (instrument, side, qty, cents, quoted) in enumerate(steps):
            model.submit(order(str(number), side, qty, instrument=instrument), 0, NOON_NS)
            if quoted:
                price = cents / 100
                model.on_tick(quote(price, price, SECOND, instrument, 0.7), NOON_NS)
            if instrument.id.market is Market.LINEAR:
                due_ms = NOON_MS + number * 1000
                coming = mark(cents / 99, due_ms, due_ms + 1000, 0.0003, instrument)
                model.on_tick(coming, NOON_NS)
            store.write(take_changes(model))
            assert same(load(store, leverage=D(leverage)), model)
        check_sums(path, model)
        store.close()


def check_sums(path: Path, model: VenueModel) -> None:
    """The fills on record alone explain the base balances on record."""
    fills = [fill for known in model.orders.values() for fill in known.fills]
    traded = rows(path, "SELECT venue_trade_id, qty, price, fee FROM fills WHERE kind = 'trade'")
    assert sorted(traded) == sorted(
        (fill.venue_trade_id, plain(fill.qty), plain(fill.price), plain(fill.fee)) for fill in fills
    )
    wallets = dict(rows(path, "SELECT asset, total FROM wallets"))
    assert wallets.get("BTC", "0") == plain(flows(fills).get("BTC", D(0)))
