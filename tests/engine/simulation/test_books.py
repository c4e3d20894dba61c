"""The model of storage tells the same stories as real storage does."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from api.simulated_books import sql_books
from engine.model.effects import (
    AppendEvent,
    Record,
    SaveBalance,
    SaveBot,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
    SendNotice,
)
from engine.model.errors import Fenced, Held, InvariantBroken
from engine.model.events import Balance, Started
from engine.model.instrument import Market
from engine.model.order import OrderSide, OrderStatus
from engine.model.position import PositionStatus
from engine.model.signal import Outcome, SignalRecord, body_digest
from engine.ports import Ledger
from engine.simulation.books import Books, BooksFactory, ModelBooks
from tests.engine.lease_rig import TwoClocks
from tests.storage.structs import BTC, ETH, NOON_NS, SECOND_NS, fill, order, position, signal

LEASE_NS = 4 * SECOND_NS
SETTLE_NS = 5 * SECOND_NS
LATER_NS = NOON_NS + 60 * SECOND_NS


@pytest.fixture(scope="module")
def real() -> Iterator[BooksFactory]:
    with sql_books() as factory:
        yield factory


@pytest.fixture(params=["model", "real"])
def books(request: pytest.FixtureRequest, real: BooksFactory) -> Iterator[Books]:
    made = ModelBooks() if request.param == "model" else real()
    yield made
    made.close()


@pytest.fixture
def clock() -> TwoClocks:
    return TwoClocks()


@pytest.fixture
def ledger(books: Books, clock: TwoClocks) -> Ledger:
    """The journal of the one writer."""
    return writer(books, clock, "home")


def writer(books: Books, clock: TwoClocks, holder: str) -> Ledger:
    grant = books.lease(SETTLE_NS).acquire(holder, clock.now_ns(), LEASE_NS)
    return books.ledger(grant.epoch, LEASE_NS, clock)


def load(ledger: Ledger) -> Started:
    return ledger.load(LATER_NS)


ENTRY: Sequence[Record] = (SavePosition(position()), SaveOrder(order()))


def test_new_books_are_those_of_a_fresh_install(books: Books, ledger: Ledger) -> None:
    assert load(ledger) == Started(LATER_NS, accepting=True)
    assert not any(books.facts())


def test_what_was_committed_is_loaded_and_read(books: Books, ledger: Ledger) -> None:
    pending = SignalRecord(signal(), Outcome.PENDING)
    balance = Balance("bybit", "USDT", Decimal("10.50"), Decimal(10), Decimal("0.5"))
    event = AppendEvent("test.happened", "guard", NOON_NS, {"n": 1})
    notice = SendNotice("test.told", NOON_NS, {"n": 2})
    ledger.commit([SaveSignal(pending), *ENTRY, SaveFill(fill(), position().id)])
    ledger.commit([SaveBalance(balance, NOON_NS), SaveBot(False, NOON_NS), event, notice])
    assert load(ledger) == Started(
        LATER_NS,
        accepting=False,
        since_ns=NOON_NS,
        positions=(position(),),
        orders=(order(),),
        signals=(pending,),
        balances=(balance,),
        booked=frozenset({(fill().client_order_id or "", "t1")}),
    )
    facts = books.facts()
    assert list(facts.signals) == [pending]
    assert list(facts.positions) == [position()]
    assert list(facts.orders) == [order()]
    assert list(facts.fills) == [(fill(), position().id)]
    assert (list(facts.events), list(facts.notices)) == ([event], [notice])


def test_the_last_state_holds(books: Books, ledger: Ledger) -> None:
    opening, filled = position(status=PositionStatus.OPENING), order(status=OrderStatus.FILLED)
    first = Balance("bybit", "USDT", Decimal(1), Decimal(1), Decimal(0))
    last = Balance("bybit", "USDT", Decimal(2), Decimal(2), Decimal(0))
    ledger.commit(
        [SavePosition(opening), *ENTRY, SaveBalance(first, NOON_NS), SaveBalance(last, NOON_NS)]
    )
    ledger.commit([SaveOrder(filled), SaveBot(False, 1), SaveBot(True, 2)])
    started = load(ledger)
    assert started.positions == (position(),)
    assert started.orders == (filled,)
    assert started.balances == (last,)
    assert (started.accepting, started.since_ns) == (True, 2)


def test_recovery_is_given_what_is_active_in_order(books: Books, ledger: Ledger) -> None:
    closed = position(3, status=PositionStatus.CLOSED)
    done = SignalRecord(signal(3), Outcome.OPENED, position(3).id)
    late, early = SignalRecord(signal(2), Outcome.PENDING), SignalRecord(signal(1), Outcome.PENDING)
    ledger.commit([SavePosition(position(2)), SavePosition(position(1)), SavePosition(closed)])
    ledger.commit([SaveOrder(order(3)), SaveOrder(order(2)), SaveOrder(order(1))])
    ledger.commit([SaveSignal(done), SaveSignal(late), SaveSignal(early)])
    ledger.commit([SaveFill(fill(3, trade=3), closed.id), SaveFill(fill(1), position(1).id)])
    started = load(ledger)
    assert started.positions == (position(1), position(2))
    assert started.orders == (order(2), order(1))
    assert started.signals == (early, late)
    assert {trade for _, trade in started.booked} == {"t1"}
    assert len(books.facts().positions) == 3


def test_balances_are_loaded_by_venue_and_asset(ledger: Ledger) -> None:
    names = [("bybit", "USDT"), ("bybit", "BNB"), ("binance", "USDT")]
    balances = [Balance(venue, asset, Decimal(1), Decimal(1), Decimal(0)) for venue, asset in names]
    ledger.commit([SaveBalance(each, NOON_NS) for each in balances])
    loaded = [(each.venue, each.asset) for each in load(ledger).balances]
    assert loaded == sorted(names)


def test_wallets_of_one_asset_are_loaded_apart(ledger: Ledger) -> None:
    one, many = Decimal(1), Decimal(7)
    futures = Balance("binance", "USDT", many, many, Decimal(0), Market.LINEAR)
    spot = Balance("binance", "USDT", one, one, Decimal(0), Market.SPOT)
    ledger.commit([SaveBalance(spot, NOON_NS), SaveBalance(futures, NOON_NS)])
    assert ledger.load(NOON_NS).balances == (futures, spot)


def test_a_fill_told_again_is_booked_once(books: Books, ledger: Ledger) -> None:
    mine = SaveFill(fill(), position().id)
    ledger.commit([*ENTRY, mine, mine])
    ledger.commit([mine])
    assert list(books.facts().fills) == [(fill(), position().id)]


def test_one_execution_may_be_shared_by_positions(books: Books, ledger: Ledger) -> None:
    foreign = fill(client_order_id=None, qty=Decimal("0.1"))
    ledger.commit([SavePosition(position(1)), SavePosition(position(2))])
    ledger.commit([SaveFill(foreign, position(1).id), SaveFill(foreign, position(2).id)])
    assert [bearer for _, bearer in books.facts().fills] == [position(1).id, position(2).id]
    of_others = (str(foreign.instrument.id), "t1")
    assert load(ledger).booked == {(position(1).id, "t1"), (position(2).id, "t1"), of_others}


def test_trade_ids_are_of_an_instrument(books: Books, ledger: Ledger) -> None:
    other = position(2, instrument=ETH)
    theirs = fill(2, instrument=ETH, fee_asset="EUR")
    ledger.commit([*ENTRY, SavePosition(other), SaveOrder(order(2, instrument=ETH))])
    ledger.commit([SaveFill(fill(), position().id), SaveFill(theirs, other.id)])
    assert len(books.facts().fills) == 2


@pytest.mark.parametrize("changes", [{"qty": Decimal("0.2")}, {"price": Decimal(1)}])
def test_a_fill_that_contradicts_the_booked_one_breaks_the_commit(
    books: Books, ledger: Ledger, changes: dict[str, Decimal]
) -> None:
    ledger.commit([*ENTRY, SaveFill(fill(), position().id)])
    with pytest.raises(InvariantBroken, match="t1"):
        ledger.commit([SavePosition(position(2)), SaveFill(fill(**changes), position().id)])
    assert list(books.facts().positions) == [position()]
    assert list(books.facts().fills) == [(fill(), position().id)]


@pytest.mark.parametrize(
    "other",
    [
        order(qty=Decimal(1)),
        order(side=OrderSide.SELL),
        order(instrument=ETH),
        order(position_id=position(2).id),
    ],
    ids=["quantity", "side", "instrument", "position"],
)
def test_an_order_that_contradicts_the_one_under_its_id_breaks_the_commit(
    books: Books, ledger: Ledger, other: object
) -> None:
    ledger.commit([*ENTRY, SavePosition(position(2))])
    event = AppendEvent("test.happened", "guard", NOON_NS, {})
    with pytest.raises(InvariantBroken, match=order().client_order_id):
        ledger.commit([event, SaveOrder(other)])
    assert list(books.facts().orders) == [order()]
    assert list(books.facts().events) == []


def test_a_numbered_commit_whose_answer_was_lost_is_written_once(
    books: Books, ledger: Ledger
) -> None:
    event = AppendEvent("test.happened", "guard", NOON_NS, {})
    ledger.commit([event], 1)
    ledger.commit([event], 1)
    assert len(books.facts().events) == 1
    ledger.commit([event], 2)
    ledger.commit([event])
    ledger.commit([event])
    assert len(books.facts().events) == 4


def test_numbers_begin_anew_with_another_writer(
    books: Books, ledger: Ledger, clock: TwoClocks
) -> None:
    event = AppendEvent("test.happened", "guard", NOON_NS, {})
    ledger.commit([event], 1)
    writer(books, clock, "home").commit([event], 1)
    assert len(books.facts().events) == 2


# The lease


def test_the_lease_is_refused_while_it_is_anothers(books: Books, clock: TwoClocks) -> None:
    lease = books.lease(SETTLE_NS)
    first = lease.acquire("home", clock.now_ns(), LEASE_NS)
    assert first.wait_ns == 0
    clock.pass_s(3.9)
    with pytest.raises(Held, match="home"):
        books.lease(SETTLE_NS).acquire("twin", clock.now_ns(), LEASE_NS)
    clock.pass_s(0.1)
    taken = books.lease(SETTLE_NS).acquire("twin", clock.now_ns(), LEASE_NS)
    assert taken.epoch == first.epoch + 1
    assert taken.wait_ns == LEASE_NS + SETTLE_NS


def test_the_same_holder_takes_its_lease_again_at_once(books: Books, clock: TwoClocks) -> None:
    first = books.lease(SETTLE_NS).acquire("home", clock.now_ns(), LEASE_NS)
    again = books.lease(SETTLE_NS).acquire("home", clock.now_ns(), LEASE_NS)
    assert (again.epoch, again.wait_ns) == (first.epoch + 1, 0)


def test_a_lease_that_was_given_back_is_free(books: Books, clock: TwoClocks) -> None:
    lease = books.lease(SETTLE_NS)
    grant = lease.acquire("home", clock.now_ns(), LEASE_NS)
    lease.release(grant.epoch)
    with pytest.raises(Fenced):
        lease.renew(grant.epoch, clock.now_ns())
    assert books.lease(SETTLE_NS).acquire("twin", clock.now_ns(), LEASE_NS).wait_ns == 0


def test_an_older_epoch_gives_nothing_back(books: Books, clock: TwoClocks) -> None:
    lease = books.lease(SETTLE_NS)
    old = lease.acquire("home", clock.now_ns(), LEASE_NS)
    lease.acquire("home", clock.now_ns(), LEASE_NS)
    lease.release(old.epoch)
    with pytest.raises(Held):
        books.lease(SETTLE_NS).acquire("twin", clock.now_ns(), LEASE_NS)


@pytest.mark.parametrize("by_commit", [True, False])
def test_a_lease_is_prolonged_by_renewals_and_commits(
    books: Books, clock: TwoClocks, by_commit: bool
) -> None:
    lease = books.lease(SETTLE_NS)
    grant = lease.acquire("home", clock.now_ns(), LEASE_NS)
    clock.pass_s(3)
    if by_commit:
        books.ledger(grant.epoch, LEASE_NS, clock).commit([])
    else:
        lease.renew(grant.epoch, clock.now_ns())
    clock.pass_s(3)
    with pytest.raises(Held):
        books.lease(SETTLE_NS).acquire("twin", clock.now_ns(), LEASE_NS)


def test_nothing_of_an_older_epoch_is_written(
    books: Books, ledger: Ledger, clock: TwoClocks
) -> None:
    clock.pass_s(10)
    writer(books, clock, "twin")
    with pytest.raises(Fenced):
        ledger.commit(ENTRY)
    with pytest.raises(Fenced):
        ledger.commit(ENTRY, 1)
    with pytest.raises(Fenced):
        books.lease(SETTLE_NS).renew(1, clock.now_ns())
    assert list(books.facts().positions) == []


# What the inbox reads


def test_a_signal_is_found_by_its_senders_id(books: Books, ledger: Ledger) -> None:
    record = SignalRecord(signal(external_id="a"), Outcome.PENDING)
    ledger.commit([SaveSignal(SignalRecord(signal(2), Outcome.PENDING)), SaveSignal(record)])
    store = books.signals()
    assert store.find_signal("webhook", "a") == record
    assert store.find_signal("webhook", "b") is None
    assert store.find_signal("telegram", "a") is None


def test_the_last_signal_with_a_body_is_found(books: Books, ledger: Ledger) -> None:
    first, last = (SignalRecord(signal(n, raw="{}"), Outcome.PENDING) for n in (1, 2))
    ledger.commit([SaveSignal(last), SaveSignal(first)])
    store, digest, at_ns = books.signals(), body_digest("{}"), last.signal.received_at_ns
    assert store.find_recent_body("webhook", digest, NOON_NS) == last
    assert store.find_recent_body("webhook", digest, at_ns) == last
    assert store.find_recent_body("webhook", digest, at_ns + 1) is None
    assert store.find_recent_body("telegram", digest, NOON_NS) is None
    assert store.find_recent_body("webhook", body_digest("[]"), NOON_NS) is None


def test_the_last_signal_on_an_instrument_is_found(books: Books, ledger: Ledger) -> None:
    first, last = (SignalRecord(signal(n), Outcome.PENDING) for n in (1, 2))
    other = SignalRecord(signal(3, instrument=ETH), Outcome.PENDING)
    ledger.commit([SaveSignal(last), SaveSignal(first), SaveSignal(other)])
    assert books.signals().last_accepted_on(BTC.id) == last
    assert books.signals().last_accepted_on(ETH.id) == other


def test_nothing_is_found_in_new_books(books: Books) -> None:
    assert books.signals().last_accepted_on(BTC.id) is None


def test_records_of_one_commit_must_not_contradict_each_other(books: Books, ledger: Ledger) -> None:
    ledger.commit([*ENTRY])
    again = fill(price=Decimal(1))
    with pytest.raises(InvariantBroken, match="t1"):
        ledger.commit([SaveFill(fill(), position().id), SaveFill(again, position().id)])
    other = order(2)
    with pytest.raises(InvariantBroken):
        ledger.commit([SaveOrder(other), SaveOrder(replace(other, qty=other.qty * 2))])
    assert list(books.facts().fills) == []
