"""The first tables. Types are written out here: a revision must not change with the code."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

AMOUNT = sa.Numeric().with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_api_keys()
    _create_balances()
    _create_events()
    _create_leases()
    _create_outbox()
    _create_settings()
    _create_signals()
    _create_positions()
    _create_orders()
    _create_trades()


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_index("ix_api_keys_prefix", "api_keys", ["prefix"])


def _create_balances() -> None:
    op.create_table(
        "balances",
        sa.Column("venue", sa.String(), nullable=False),
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("total", AMOUNT, nullable=False),
        sa.Column("free", AMOUNT, nullable=False),
        sa.Column("locked", AMOUNT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("venue", "asset", name="pk_balances"),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_kind", "events", ["kind"])


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("fencing", sa.Integer(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_sent_at_id", "outbox", ["sent_at", "id"])


def _create_settings() -> None:
    op.create_table(
        "settings",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )


def _create_signals() -> None:
    op.create_table(
        "signals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("venue", sa.String(), nullable=False),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("position_id", sa.String(), nullable=True),
        sa.Column("raw", sa.String(), nullable=False),
        sa.Column("body_digest", sa.String(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("size", sa.Text(), nullable=True),
        sa.Column("reference_price", AMOUNT, nullable=True),
        sa.Column("take_profit", sa.Text(), nullable=True),
        sa.Column("stop_loss", sa.Text(), nullable=True),
        sa.Column("strategy", sa.String(), nullable=True),
        sa.Column("comment", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_signals"),
        sa.UniqueConstraint("source", "external_id", name="uq_signals_source_external_id"),
    )
    op.create_index("ix_signals_outcome", "signals", ["outcome"])
    op.create_index("ix_signals_position_id", "signals", ["position_id"])
    op.create_index("ix_signals_received_at_id", "signals", ["received_at", "id"])
    op.create_index(
        "ix_signals_source_body_digest_received_at",
        "signals",
        ["source", "body_digest", "received_at"],
    )
    op.create_index(
        "ix_signals_venue_market_symbol_received_at",
        "signals",
        ["venue", "market", "symbol", "received_at"],
    )


def _create_positions() -> None:
    op.create_table(
        "positions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("venue", sa.String(), nullable=False),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("guard", sa.Text(), nullable=False),
        sa.Column("qty", AMOUNT, nullable=False),
        sa.Column("qty_open", AMOUNT, nullable=False),
        sa.Column("entry_price", AMOUNT, nullable=True),
        sa.Column("current_price", AMOUNT, nullable=True),
        sa.Column("take_profit", AMOUNT, nullable=True),
        sa.Column("stop_loss", AMOUNT, nullable=True),
        sa.Column("exits", sa.Text(), nullable=False),
        sa.Column("entry_time", TIME, nullable=True),
        sa.Column("exit_price", AMOUNT, nullable=True),
        sa.Column("exit_time", TIME, nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=True),
        sa.Column("realized_pnl", AMOUNT, nullable=False),
        sa.Column("unrealized_pnl", AMOUNT, nullable=True),
        sa.Column("fees", AMOUNT, nullable=False),
        sa.Column("funding", AMOUNT, nullable=False),
        sa.Column("net_pnl", AMOUNT, nullable=False),
        sa.Column("strategy", sa.String(), nullable=True),
        sa.Column("reaction_ms", sa.Float(), nullable=True),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("quote", sa.String(), nullable=False),
        sa.Column("exits_asked", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("signal_id", sa.String(), nullable=True),
        sa.Column("closing_signal_id", sa.String(), nullable=True),
        sa.Column("entry_value", AMOUNT, nullable=False),
        sa.Column("base_fees", AMOUNT, nullable=False),
        sa.Column("exit_qty", AMOUNT, nullable=False),
        sa.Column("exit_value", AMOUNT, nullable=False),
        sa.Column("dust", AMOUNT, nullable=False),
        sa.Column("fees_unvalued", sa.Boolean(), nullable=False),
        sa.Column("exit_generation", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["signal_id"], ["signals.id"], name="fk_positions_signal_id_signals"
        ),
        sa.ForeignKeyConstraint(
            ["closing_signal_id"],
            ["signals.id"],
            name="fk_positions_closing_signal_id_signals",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_positions"),
    )
    op.create_index("ix_positions_created_at_id", "positions", ["created_at", "id"])
    op.create_index("ix_positions_signal_id", "positions", ["signal_id"])
    op.create_index(
        "ix_positions_status_created_at_id", "positions", ["status", "created_at", "id"]
    )
    op.create_index("ix_positions_status_exit_time", "positions", ["status", "exit_time"])
    op.create_index("ix_positions_symbol", "positions", ["symbol"])


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("client_order_id", sa.String(), nullable=False),
        sa.Column("venue_order_id", sa.String(), nullable=True),
        sa.Column("position_id", sa.String(), nullable=False),
        sa.Column("venue", sa.String(), nullable=False),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("qty", AMOUNT, nullable=False),
        sa.Column("filled_qty", AMOUNT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("trigger_price", AMOUNT, nullable=True),
        sa.Column("signal_id", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["position_id"], ["positions.id"], name="fk_orders_position_id_positions"
        ),
        sa.ForeignKeyConstraint(["signal_id"], ["signals.id"], name="fk_orders_signal_id_signals"),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.UniqueConstraint("client_order_id", name="uq_orders_client_order_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_orders_created_at_id", "orders", ["created_at", "id"])
    op.create_index("ix_orders_position_id", "orders", ["position_id"])
    op.create_index("ix_orders_signal_id", "orders", ["signal_id"])


def _create_trades() -> None:
    op.create_table(
        "trades",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("venue_trade_id", sa.String(), nullable=False),
        sa.Column("order_id", ROW_ID, nullable=True),
        sa.Column("position_id", sa.String(), nullable=True),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("qty", AMOUNT, nullable=False),
        sa.Column("price", AMOUNT, nullable=False),
        sa.Column("fee", AMOUNT, nullable=False),
        sa.Column("fee_asset", sa.String(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("venue", sa.String(), nullable=False),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("client_order_id", sa.String(), nullable=True),
        sa.Column("booked_for", sa.String(), nullable=False),
        sa.Column("venue_order_id", sa.String(), nullable=True),
        sa.Column("fee_rate", AMOUNT, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_trades_order_id_orders"),
        sa.ForeignKeyConstraint(
            ["position_id"], ["positions.id"], name="fk_trades_position_id_positions"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_trades"),
        sa.UniqueConstraint(
            "venue",
            "market",
            "symbol",
            "venue_trade_id",
            "booked_for",
            name="uq_trades_venue_market_symbol_venue_trade_id_booked_for",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_trades_order_id", "trades", ["order_id"])
    op.create_index("ix_trades_position_id_time", "trades", ["position_id", "time"])
    op.create_index("ix_trades_time_id", "trades", ["time", "id"])
