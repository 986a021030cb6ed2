"""Who was asked before a run was published, and what they said."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "approvals",
        sa.Column("approval_key", sa.Integer, nullable=False),
        sa.Column("question_id", sa.Text, nullable=False),
        sa.Column("flow_run_id", sa.Text, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("shown_hash", sa.Text, nullable=False),
        sa.Column("why_asked", sa.Text, nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("who", sa.Text),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("approval_key", name="pk_approvals"),
        sa.UniqueConstraint("question_id", "portfolio_id", name="uq_approvals_question"),
        sa.CheckConstraint(
            "decision IN ('approved', 'rejected', 'timed out', 'withdrawn')", name="ck_approvals_decision"
        ),
        sqlite_autoincrement=True,
    )
