"""More exit rules: what a signal says of them, and how far those of a position have come."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SIGNALS = sa.table(
    "signals",
    sa.column("id", sa.String()),
    sa.column("take_profit", sa.Text()),
    sa.column("stop_loss", sa.Text()),
    sa.column("exits", sa.Text()),
)


def upgrade() -> None:
    op.add_column("signals", sa.Column("exits", sa.Text(), nullable=False, server_default="{}"))
    _move_limits()
    op.drop_column("signals", "take_profit")
    op.drop_column("signals", "stop_loss")
    op.add_column(
        "positions", sa.Column("progress", sa.Text(), nullable=False, server_default="{}")
    )


def _move_limits() -> None:
    connection = op.get_bind()
    limits = ("take_profit", "stop_loss")
    given = sa.or_(*(SIGNALS.c[name].is_not(None) for name in limits))
    for row in connection.execute(sa.select(SIGNALS).where(given)).mappings().all():
        exits = {name: json.loads(row[name]) for name in limits if row[name] is not None}
        connection.execute(
            SIGNALS.update().where(SIGNALS.c.id == row["id"]).values(exits=json.dumps(exits))
        )
