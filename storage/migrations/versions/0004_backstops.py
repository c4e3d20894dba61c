"""The stop order that a position has at its venue; a wallet for each market, where a venue has."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

AMOUNT = sa.Numeric().with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
OLD_BALANCES = ("venue", "asset", "total", "free", "locked", "at")


def upgrade() -> None:
    op.add_column("positions", sa.Column("backstop", AMOUNT, nullable=True))
    op.add_column("positions", sa.Column("backstop_problem", sa.String(), nullable=True))
    generation = sa.Column(
        "backstop_generation", sa.Integer(), nullable=False, server_default="-1"
    )
    op.add_column("positions", generation)
    _key_balances_by_wallet()


def _key_balances_by_wallet() -> None:
    """SQLite changes a key by a new table only; there are few rows."""
    connection = op.get_bind()
    old = sa.table("balances", *(sa.column(name) for name in OLD_BALANCES))
    rows = [{"wallet": "", **row} for row in connection.execute(sa.select(old)).mappings()]
    op.drop_table("balances")
    new = op.create_table(
        "balances",
        sa.Column("venue", sa.String(), nullable=False),
        sa.Column("wallet", sa.String(), nullable=False),
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("total", AMOUNT, nullable=False),
        sa.Column("free", AMOUNT, nullable=False),
        sa.Column("locked", AMOUNT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("venue", "wallet", "asset", name="pk_balances"),
    )
    op.bulk_insert(new, rows)
