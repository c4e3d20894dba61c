import pytest

from storage.tables import METADATA, POSITIONS

# CONTRACT.md section 7, and the position object of section 5.
CONTRACT = {
    "signals": "id received_at source external_id action venue market symbol outcome reason "
    "position_id raw",
    "positions": "id venue market symbol side status guard qty qty_open entry_price current_price "
    "take_profit stop_loss exits entry_time exit_price exit_time exit_reason realized_pnl "
    "unrealized_pnl fees funding net_pnl strategy reaction_ms",
    "orders": "id client_order_id venue_order_id position_id venue market symbol side purpose qty "
    "filled_qty status created_at",
    "trades": "id venue_trade_id order_id position_id side qty price fee fee_asset time",
    "events": "id at kind actor data",
    "outbox": "id",
    "balances": "venue asset total free locked",
    "api_keys": "id",
    "leases": "name",
}


@pytest.mark.parametrize("name", CONTRACT)
def test_a_table_has_the_columns_that_scripts_rely_on(name: str):
    assert set(CONTRACT[name].split()) <= set(METADATA.tables[name].columns.keys())


def test_a_position_written_by_hand_is_open():
    assert POSITIONS.c.status.server_default.arg == "open"
