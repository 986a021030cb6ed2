"""Why each weight is what it is: decisions, explanations, and the limits that gave way."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; runs that were published before have no rows in them."""
    op.create_table(
        "relaxations",
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("constraint", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("limit", sa.Double, nullable=False),
        sa.Column("used", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_key", "seq", name="pk_relaxations"),
    )
    op.create_table(
        "explanations",
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("limit", sa.Double),
        sa.Column("before", sa.Double, nullable=False),
        sa.Column("change", sa.Double, nullable=False),
        sa.Column("after", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("run_key", "seq", name="pk_explanations"),
    )
    op.create_table(
        "decisions",
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("side", sa.SmallInteger, nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("confidence", sa.Double),
        sa.Column("signals", sa.Text, nullable=False),
        sa.Column("fixed", sa.Boolean, nullable=False),
        sa.Column("rejected_by", sa.Text),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("current_weight", sa.Double, nullable=False),
        sa.Column("wanted_weight", sa.Double, nullable=False),
        sa.Column("target_weight", sa.Double),
        sa.PrimaryKeyConstraint("run_key", "symbol", name="pk_decisions"),
    )
