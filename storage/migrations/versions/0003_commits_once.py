"""Remember the number of the last commit, so that a repeated one is written once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "leases", sa.Column("committed", sa.Integer(), nullable=False, server_default="0")
    )
