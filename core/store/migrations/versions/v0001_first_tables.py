"""The first tables. A revision is history: it never changes, and imports nothing of the program."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the input tables, the runs and their rows, and the view of current targets."""
    _create_inputs()
    _create_runs()
    _create_run_rows()
    op.execute(
        "CREATE VIEW current_targets AS SELECT runs.run_id, targets.portfolio_id, targets.as_of, targets.symbol, "
        "targets.is_cash, targets.action, targets.priority, targets.bucket, targets.score, targets.confidence, "
        "targets.current_weight, targets.wanted_weight, targets.target_weight, targets.trade_weight, targets.close, "
        "targets.current_quantity, targets.trade_notional, targets.trade_quantity, targets.reason "
        "FROM targets JOIN runs ON runs.run_key = targets.run_key WHERE runs.status = 'published'"
    )


def _create_inputs() -> None:
    op.create_table(
        "portfolios",
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("base_currency", sa.Text),
        sa.Column("active", sa.Boolean),
        sa.PrimaryKeyConstraint("portfolio_id", name="pk_portfolios"),
    )
    op.create_table(
        "positions",
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("quantity", sa.Double),
        sa.PrimaryKeyConstraint("as_of", "portfolio_id", "symbol", name="pk_positions"),
    )
    op.create_table(
        "cash",
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("amount", sa.Double),
        sa.PrimaryKeyConstraint("as_of", "portfolio_id", name="pk_cash"),
    )
    op.create_table(
        "assets",
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("bucket", sa.Text),
        sa.Column("tradable", sa.Boolean),
        sa.Column("currency", sa.Text),
        sa.PrimaryKeyConstraint("symbol", name="pk_assets"),
    )
    op.create_table(
        "prices",
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("close", sa.Double),
        sa.Column("adjusted_close", sa.Double),
        sa.PrimaryKeyConstraint("as_of", "symbol", name="pk_prices"),
    )
    op.create_table(
        "signals",
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("signal", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.PrimaryKeyConstraint("as_of", "symbol", "signal", name="pk_signals"),
    )
    op.create_table(
        "candidates",
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("priority", sa.Text),
        sa.PrimaryKeyConstraint("as_of", "symbol", name="pk_candidates"),
    )
    op.create_table(
        "corporate_actions",
        sa.Column("effective", sa.Date, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("factor", sa.Double),
        sa.Column("new_symbol", sa.Text),
        sa.PrimaryKeyConstraint("effective", "symbol", name="pk_corporate_actions"),
    )
    op.create_table(
        "overrides",
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("from", sa.Date, nullable=False),
        sa.Column("to", sa.Date),
        sa.Column("value", sa.Text),
        sa.Column("who", sa.Text),
        sa.Column("why", sa.Text),
        sa.PrimaryKeyConstraint("portfolio_id", "symbol", "kind", "from", name="pk_overrides"),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_key", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("policy_name", sa.Text, nullable=False),
        sa.Column("policy_hash", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("inputs_hash", sa.Text, nullable=False),
        sa.Column("program_version", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("parquet_path", sa.Text),
        sa.Column("parquet_sha256", sa.Text),
        sa.Column("supersedes", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("run_key", name="pk_runs"),
        sa.UniqueConstraint("run_id", name="uq_runs_run_id"),
        sa.ForeignKeyConstraint(["supersedes"], ["runs.run_key"], name="fk_runs_supersedes"),
        sa.CheckConstraint("status IN ('pending', 'published', 'superseded', 'refused')", name="ck_runs_status"),
        sqlite_autoincrement=True,
    )
    published = sa.text("status = 'published'")
    op.create_index(
        "uq_runs_published",
        "runs",
        ["portfolio_id", "as_of"],
        unique=True,
        sqlite_where=published,
        postgresql_where=published,
    )


def _create_run_rows() -> None:
    op.create_table(
        "targets",
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("is_cash", sa.Boolean, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("priority", sa.Text),
        sa.Column("bucket", sa.Text),
        sa.Column("score", sa.Double),
        sa.Column("confidence", sa.Double),
        sa.Column("current_weight", sa.Double, nullable=False),
        sa.Column("wanted_weight", sa.Double, nullable=False),
        sa.Column("target_weight", sa.Double, nullable=False),
        sa.Column("trade_weight", sa.Double, nullable=False),
        sa.Column("close", sa.Double),
        sa.Column("current_quantity", sa.Double),
        sa.Column("trade_notional", sa.Double),
        sa.Column("trade_quantity", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_key", "symbol", name="pk_targets"),
    )
    op.create_table(
        "actions",
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("verb", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text),
        sa.Column("bucket", sa.Text),
        sa.Column("before", sa.Double),
        sa.Column("after", sa.Double),
        sa.Column("limit", sa.Double),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("run_key", "seq", name="pk_actions"),
    )
    op.create_table(
        "findings",
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("portfolio_id", sa.Text),
        sa.Column("symbol", sa.Text),
        sa.Column("frame", sa.Text, nullable=False),
        sa.Column("column", sa.Text),
        sa.Column("row", sa.Text),
        sa.Column("value", sa.Text),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("remedy", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_key", "seq", name="pk_findings"),
    )
    op.create_table(
        "breaches",
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("constraint", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("limit", sa.Double, nullable=False),
        sa.Column("level", sa.Double, nullable=False),
        sa.Column("excess", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("run_key", "seq", name="pk_breaches"),
    )
    op.create_table(
        "bucket_statistics",
        sa.Column("run_key", sa.Integer, nullable=False),
        sa.Column("portfolio_id", sa.Text, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("asset_count", sa.Integer, nullable=False),
        sa.Column("gross_weight", sa.Double, nullable=False),
        sa.Column("avg_score", sa.Double),
        sa.Column("max_score", sa.Double),
        sa.Column("min_score", sa.Double),
        sa.Column("max_positions", sa.Integer),
        sa.Column("max_allocation", sa.Double),
        sa.PrimaryKeyConstraint("run_key", "bucket", name="pk_bucket_statistics"),
    )
