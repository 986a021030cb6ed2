"""A name for this database, which the folder of its targets bears too."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table, and its one row."""
    table = op.create_table(
        "evenkeel_store",
        sa.Column("store_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("store_id", name="pk_evenkeel_store"),
    )
    op.bulk_insert(table, [{"store_id": uuid4().hex}])
