import base64
from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.model.effects import (
    AppendEvent,
    SaveBot,
    SaveFill,
    SaveOrder,
    SavePosition,
    SaveSignal,
)
from engine.model.position import ACTIVE, PositionStatus
from engine.model.signal import SignalRecord, body_digest
from storage.ledger import SqlLedger
from storage.queries import LoggedEvent, Page, Queries, Trade
from storage.recovery import BotState
from tests.storage.structs import (
    BTC,
    ETH,
    NOON_NS,
    SECOND_NS,
    fill,
    order,
    position,
    position_id,
    signal,
)

STATUSES = [*PositionStatus, "active", "all"]


def save_positions(ledger: SqlLedger, *numbers: int, **changes) -> None:
    ledger.commit([SavePosition(position(number, **changes)) for number in numbers])


def pages(fetch: Callable[[str | None], Page]) -> list[list]:
    found, cursor = [], None
    while True:
        page = fetch(cursor)
        found.append(list(page.items))
        cursor = page.next_cursor
        if cursor is None:
            return found


def listed(fetch: Callable[[str | None], Page]) -> list:
    return [item for page in pages(fetch) for item in page]


@pytest.mark.parametrize("status_filter", STATUSES)
def test_positions_are_filtered_by_status(ledger, queries, status_filter: str):
    for number, status in enumerate(PositionStatus):
        save_positions(ledger, number, status=status)
    found = {p.status for p in queries.positions(status_filter).items}
    meant = {"active": set(ACTIVE), "all": set(PositionStatus)}
    assert found == meant.get(status_filter, {status_filter})


def test_positions_come_newest_first_in_pages(ledger, queries):
    save_positions(ledger, 3, 1, 2, 5, 4)
    found = pages(lambda cursor: queries.positions("all", 2, cursor))
    ids = [[p.id for p in page] for page in found]
    assert ids == [
        [position_id(5), position_id(4)],
        [position_id(3), position_id(2)],
        [position_id(1)],
    ]


def test_a_full_last_page_has_no_cursor(ledger, queries):
    save_positions(ledger, 1, 2)
    assert queries.positions("all", 2).next_cursor is None
    assert queries.positions("closed") == Page((), None)


def test_positions_made_at_one_instant_are_each_listed_once(ledger, queries):
    save_positions(ledger, *range(7), created_at_ns=NOON_NS)
    found = [p.id for p in listed(lambda c: queries.positions("all", 3, c))]
    assert len(found) == 7
    assert set(found) == {position_id(number) for number in range(7)}


def test_what_comes_in_between_pages_neither_repeats_nor_hides_a_position(ledger, queries):
    save_positions(ledger, 10, 20, 30, 40)
    first = queries.positions("all", 2)
    save_positions(ledger, 15, 35, 50)
    second = queries.positions("all", 9, first.next_cursor)
    assert [p.id for p in first.items] == [position_id(40), position_id(30)]
    assert [p.id for p in second.items] == [position_id(20), position_id(15), position_id(10)]


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "\u20ac", base64.b64encode(b"1 2 3").decode()])
def test_a_cursor_that_is_none_of_ours_is_refused(queries, cursor: str):
    with pytest.raises(ValueError, match="next_cursor"):
        queries.positions("all", 10, cursor)


def test_a_cursor_of_another_list_is_refused(ledger, queries):
    save_positions(ledger, 1, 2)
    cursor = queries.positions("all", 1).next_cursor
    with pytest.raises(ValueError, match="next_cursor"):
        queries.orders(10, cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused(queries, limit: int):
    with pytest.raises(ValueError, match="limit"):
        queries.positions("all", limit)
    with pytest.raises(ValueError, match="limit"):
        queries.events(0, limit)


def test_an_unknown_status_is_refused_with_those_there_are(queries):
    with pytest.raises(ValueError, match="active, all, opening"):
        queries.positions("opne")


def test_an_unknown_position_is_none(queries):
    assert queries.position("nobody") is None


def test_signals_orders_and_trades_are_listed_newest_first_in_pages(ledger, queries):
    numbers = range(1, 6)
    save_positions(ledger, *numbers)
    ledger.commit([SaveSignal(SignalRecord(signal(n))) for n in numbers])
    ledger.commit([SaveOrder(order(n)) for n in numbers])
    ledger.commit([SaveFill(fill(1, n), None) for n in numbers])
    falling = [5, 4, 3, 2, 1]
    signals = listed(lambda c: queries.signals(2, c))
    assert [record.signal.id for record in signals] == [f"s{n}" for n in falling]
    orders = listed(lambda c: queries.orders(2, c))
    assert orders == [order(n) for n in falling]
    trades = listed(lambda c: queries.trades(2, c))
    assert trades == [Trade(n, None, fill(1, n)) for n in falling]


def closed(number: int, exit_s: int, **changes):
    changes |= {"status": PositionStatus.CLOSED, "exit_time_ns": NOON_NS + exit_s * SECOND_NS}
    return position(number, **changes)


def test_closed_positions_are_chosen_by_exit_time_strategy_and_quote(ledger, queries):
    made = [
        closed(1, 30, strategy="a"),
        closed(2, 20),
        closed(3, 10, strategy="a", instrument=ETH),
        position(4),
    ]
    ledger.commit([SavePosition(p) for p in made])

    def found(*arguments, **named) -> list[int]:
        chosen = queries.closed_positions(*arguments, **named)
        return [made.index(p) + 1 for p in chosen]

    assert found() == [3, 2, 1]
    assert found(NOON_NS + 10 * SECOND_NS, NOON_NS + 30 * SECOND_NS) == [3, 2]
    assert found(from_ns=NOON_NS + 10 * SECOND_NS + 1) == [2, 1]
    assert found(strategy="a") == [3, 1]
    assert found(strategy="a", quote="USDT") == [1]


def test_a_signal_is_found_by_its_senders_id_and_source(ledger, queries):
    record = SignalRecord(signal(1, external_id="x"))
    ledger.commit([SaveSignal(record), SaveSignal(SignalRecord(signal(2)))])
    assert queries.find_signal("webhook", "x") == record
    assert queries.find_signal("rest", "x") is None
    assert queries.find_signal("webhook", "y") is None


def test_the_last_equal_body_of_a_source_is_found_within_a_time(ledger, queries):
    records = [SignalRecord(signal(n, raw="same")) for n in (1, 2)]
    ledger.commit([SaveSignal(r) for r in [*records, SignalRecord(signal(3, raw="other"))]])
    digest = body_digest("same")
    assert queries.find_recent_body("webhook", digest, 0) == records[1]
    received_ns = records[1].signal.received_at_ns
    assert queries.find_recent_body("webhook", digest, received_ns) == records[1]
    assert queries.find_recent_body("webhook", digest, received_ns + 1) is None
    assert queries.find_recent_body("rest", digest, 0) is None


def test_the_last_signal_on_an_instrument_is_found_whoever_sent_it(ledger, queries):
    records = [
        SignalRecord(signal(1)),
        SignalRecord(signal(3, source="rest")),
        SignalRecord(signal(4, instrument=ETH)),
    ]
    ledger.commit([SaveSignal(record) for record in reversed(records)])
    assert queries.last_accepted_on(BTC.id) == records[1]
    assert queries.last_accepted_on(ETH.id) == records[2]


def test_before_the_first_signal_there_is_no_last_one(queries):
    assert queries.last_accepted_on(BTC.id) is None
    assert queries.signal("s1") is None


def test_a_positions_orders_and_trades_are_its_own(ledger, queries):
    save_positions(ledger, 1, 2)
    ledger.commit([SaveOrder(order(1, 1)), SaveOrder(order(1, 0)), SaveOrder(order(2))])
    late, early, other = fill(1, 2), fill(1, 1), fill(2, 3)
    mine = [SaveFill(late, position_id(1)), SaveFill(early, position_id(1))]
    ledger.commit([*mine, SaveFill(other, position_id(2))])
    assert queries.orders_of(position_id(1)) == (order(1, 1), order(1, 0))
    assert [trade.fill for trade in queries.trades_of(position_id(1))] == [early, late]
    assert queries.orders_of("nobody") == queries.trades_of("nobody") == ()


def test_fills_are_listed_for_reconciliation_by_venue_and_time(ledger, queries):
    spot = fill(1, 3, instrument=ETH, qty=Decimal(1))
    ledger.commit([SaveFill(f, None) for f in (fill(1, 1), fill(1, 2), spot)])
    assert [trade.fill for trade in queries.fills()] == [fill(1, 1), fill(1, 2), spot]
    assert [trade.fill for trade in queries.fills("binance")] == [spot]
    late = queries.fills(since_ns=fill(1, 2).time_ns)
    assert [trade.fill for trade in late] == [fill(1, 2), spot]


def test_the_bots_state_says_since_when(ledger, queries):
    assert queries.bot_state() == BotState(True, 0)
    ledger.commit([SaveBot(False, NOON_NS)])
    assert queries.bot_state() == BotState(False, NOON_NS)


def test_events_follow_a_row(ledger, queries: Queries):
    assert queries.last_event_id() == 0
    lines = [AppendEvent("k", "owner", NOON_NS + n, {"n": n}) for n in range(4)]
    ledger.commit(lines)
    expected = [LoggedEvent(n + 1, NOON_NS + n, "k", "owner", {"n": n}) for n in range(4)]
    assert list(queries.events()) == expected
    assert list(queries.events(2)) == expected[2:]
    assert list(queries.events(1, limit=2)) == expected[1:3]
    assert queries.events(4) == ()
    assert queries.last_event_id() == 4
