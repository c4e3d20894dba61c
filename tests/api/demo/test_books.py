import re
from pathlib import Path

import pytest

from api.demo.books import differences
from tests.api.demo.records import PLACE, POSITION, change, write


@pytest.fixture
def books(tmp_path: Path) -> dict[str, Path]:
    ledger, venue = write(tmp_path)
    return {"ledger": ledger, "venue": venue}


def test_books_that_agree_have_no_difference(books: dict[str, Path]) -> None:
    assert differences(books["ledger"], books["venue"]) == []


@pytest.mark.parametrize(
    ("where", "statement", "said"),
    [
        ("ledger", "DELETE FROM trades WHERE venue_trade_id = '2'", "fill .*/2: ledger has none"),
        ("venue", "DELETE FROM fills WHERE venue_trade_id = '3'", "fill .*/3: .* venue has none"),
        ("ledger", "UPDATE trades SET side = 'buy' WHERE side = 'sell'", "fill .*/3: "),
        ("venue", "UPDATE fills SET fee_asset = '1INCH' WHERE venue_trade_id = '1'", "1INCH"),
        ("ledger", "UPDATE trades SET fee = NULL WHERE venue_trade_id = '1'", "None"),
        ("ledger", "UPDATE balances SET total = '10.51'", "balance bybit/USDT: ledger 10.51"),
        ("venue", "UPDATE wallets SET locked = '0.51'", "balance"),
        ("venue", "DELETE FROM wallets", "balance .* venue has none"),
        ("ledger", "UPDATE positions SET realized_pnl = '28.0000001'", "realized_pnl of position"),
        ("ledger", "UPDATE positions SET fees = '0.53'", "fees of position"),
        ("ledger", "UPDATE positions SET side = 'short'", "realized_pnl of position"),
    ],
)
def test_a_difference_is_told(
    books: dict[str, Path], where: str, statement: str, said: str
) -> None:
    change(books[where], statement)
    found = differences(books["ledger"], books["venue"])
    assert found
    assert any(re.search(said, each) for each in found), found


@pytest.mark.parametrize(("where", "table"), [("ledger", "trades"), ("venue", "fills")])
def test_what_is_booked_twice_is_no_match_for_once(
    books: dict[str, Path], where: str, table: str
) -> None:
    change(books[where], f"INSERT INTO {table} SELECT * FROM {table} WHERE venue_trade_id = '1'")
    found = differences(books["ledger"], books["venue"])
    assert any(" and " in each for each in found)


def test_positions_on_one_instrument_are_netted(books: dict[str, Path]) -> None:
    row = "INSERT INTO positions SELECT {}, venue, market, symbol, {}, 'open', NULL, instrument,"
    row += " signal_id, quote, {}, '0', '0' FROM positions WHERE id = ?"
    for number, (side, qty) in enumerate([("long", "1.5"), ("short", "0.5")]):
        change(books["ledger"], row.format(f"'p{number}'", f"'{side}'", f"'{qty}'"), POSITION)
    assert differences(books["ledger"], books["venue"]) == [
        "position bybit/linear/BTCUSDT: ledger 1.0, venue has none"
    ]
    change(books["venue"], "INSERT INTO positions VALUES (?, ?, ?, '1')", *PLACE)
    assert differences(books["ledger"], books["venue"]) == []
    change(books["venue"], "UPDATE positions SET qty = '-1'")
    assert len(differences(books["ledger"], books["venue"])) == 1


def test_an_average_that_is_no_decimal_number_is_rounded(books: dict[str, Path]) -> None:
    """Two thirds: bought 1 at 100 and 2 at 100.5, sold 1 at 101 -> 101 - 301/3."""
    for path, table in ((books["ledger"], "trades"), (books["venue"], "fills")):
        change(path, f"UPDATE {table} SET price = '100.5' WHERE venue_trade_id = '2'")
        change(path, f"UPDATE {table} SET price = '101', qty = '1' WHERE venue_trade_id = '3'")
    fees = "fees = '0.5305'"
    pnl = "0.666666666666666666666666667"
    change(books["ledger"], f"UPDATE positions SET realized_pnl = '{pnl}', {fees}")
    assert differences(books["ledger"], books["venue"]) == []
