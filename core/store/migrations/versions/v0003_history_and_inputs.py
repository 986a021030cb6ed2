"""What was current when, what a run was made from and by what, and who is at work."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Runs that were published before: in the order in which they were made, the current one last.
PROMOTE = """
INSERT INTO promotions (portfolio_id, as_of, run_key, replaced, promoted_at)
SELECT portfolio_id, as_of, run_key,
       lag(run_key) OVER (
           PARTITION BY portfolio_id, as_of ORDER BY CASE status WHEN 'published' THEN 1 ELSE 0 END, run_key
       ),
       finished_at
FROM runs WHERE status IN ('published', 'superseded')
ORDER BY CASE status WHEN 'published' THEN 1 ELSE 0 END, run_key
"""


def upgrade() -> None:
    """Create the tables, and write down what is known of the runs there are."""
    op.add_column("runs", sa.Column("environment", sa.Text))
    op.add_column("runs", sa.Column("inputs_id", sa.Text))
    op.create_table(
        "promotions",
        sa.Column("promotion_key", sa.Integer, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("replaced", sa.Integer),
        sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("promotion_key", name="pk_promotions"),
        sa.ForeignKeyConstraint(["run_key"], ["runs.run_key"], name="fk_promotions_run_key"),
        sa.ForeignKeyConstraint(["replaced"], ["runs.run_key"], name="fk_promotions_replaced"),
        sqlite_autoincrement=True,
    )
    op.execute(PROMOTE)
    op.create_table(
        "input_frames",
        sa.Column("inputs_id", sa.Text, nullable=False),
        sa.Column("frame", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("inputs_id", "frame", name="pk_input_frames"),
    )
    op.create_table(
        "guards",
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.PrimaryKeyConstraint("portfolio_id", "as_of", name="pk_guards"),
    )
    op.create_table(
        "holders",
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("portfolio_id", "as_of", name="pk_holders"),
    )
