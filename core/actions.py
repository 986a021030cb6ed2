"""Enforcement actions: typed rows first, sentences last.

`action_rows` turns rows of a run into actions of one rule, `numbered` puts the actions of all steps in their order, and
`sentences` renders them, one to one, for people.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from core.schemas import RUN_KEYS, Actions, empty

WEIGHT_CHANGE = "{symbol} {before:.2%} -> {after:.2%} by {rule}{at_limit}"
REJECTED = "{symbol} rejected by {rule}"
UNPLACED = "{before:.2%} -> {after:.2%} placed under {rule}: {detail}"

SENTENCES: dict[str, str] = {
    "reject data_gate": "{symbol} rejected: excluded by the data gate, {detail}",
    "reject not_tradable": "{symbol} rejected: not tradable",
    "reject no_score": "{symbol} rejected: no score",
    "reject no_volatility": "{symbol} rejected: no volatility above 0, which sizing divides by",
    "reject no_proposed_weight": "{symbol} rejected: no proposed weight",
    "reject no_room": "{symbol} gets no weight: its share is 0, or fixed names and limits leave it no room",
    "keep fixed": "{symbol} keeps {after:.2%}: {detail}",
    "reject min_score_threshold": "{symbol} rejected: score {before:.4f} below the holding threshold {limit:.4f}",
    "reject min_score_new_position": "{symbol} rejected: score {before:.4f} below the entry threshold {limit:.4f}",
    "reject max_positions_per_bucket": "{symbol} rejected: number {before:.0f} in bucket {bucket}, limit {limit:.0f}",
    "reject max_total_positions": "{symbol} rejected: number {before:.0f} of at most {limit:.0f} positions",
    "reject max_new_positions": "{symbol} rejected: number {before:.0f} of at most {limit:.0f} new positions",
    "reject long_short": "{symbol} rejected: number {before:.0f} on its side, which takes {limit:.0f}",
    "scale max_allocation_per_bucket": "bucket {bucket} scaled from {before:.2%} to {after:.2%}, limit {limit:.2%}",
    "reject min_buckets_represented": "{symbol} rejected: its slot goes to a bucket that nothing else represents",
    "admit min_buckets_represented": "{symbol} admitted: bucket {bucket} is one of at least {limit:.0f} represented",
    "unmet min_buckets_represented": "{before:.0f} of at least {limit:.0f} buckets represented: {detail}",
    "shortfall long_short": "net {before:.2%} in place of {limit:.0%}: {detail}",
    "shortfall target_total_allocation": "{before:.2%} of {limit:.2%} allocated: {detail}",
}
"""How each verb and rule speaks. Constraints need no entry: what they do is rendered by `WEIGHT_CHANGE` and
`UNPLACED`."""


COUNTS = frozenset({"max_positions", "min_buckets_represented"})
"""The constraints whose limit counts names or buckets; all others limit fractions of net asset value."""


def action_rows(
    rows: pl.DataFrame,
    step: str,
    rule: str | pl.Expr,
    verb: str,
    *,
    before: pl.Expr | None = None,
    after: pl.Expr | None = None,
    limit: float | pl.Expr | None = None,
    detail: str | pl.Expr | None = None,
) -> pl.DataFrame:
    """One action per row of `rows` (portfolio_id, as_of, and symbol and bucket where the action concerns one)."""
    if rows.is_empty():
        return empty(Actions)
    present = {column: pl.col(column) if column in rows.columns else None for column in ("symbol", "bucket")}
    columns: Mapping[str, Any] = {
        "seq": 0,
        "step": step,
        "rule": rule,
        "verb": verb,
        **present,
        "before": before,
        "after": after,
        "limit": limit,
        "detail": detail,
    }
    types = empty(Actions).schema
    named = [_literal(content).cast(types[name]).alias(name) for name, content in columns.items()]
    return rows.select(*RUN_KEYS, *named)


def _literal(content: object) -> pl.Expr:
    return content if isinstance(content, pl.Expr) else pl.lit(content)


def numbered(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The actions of several steps as one frame, run by run, numbered in the order in which they happened."""
    present = [part for part in parts if not part.is_empty()]
    if not present:
        return empty(Actions)
    return (
        pl.concat(present)
        .sort(RUN_KEYS, maintain_order=True)
        .with_columns(seq=pl.int_range(pl.len(), dtype=pl.Int32).over(RUN_KEYS))
        .select(empty(Actions).columns)
    )


def sentence(action: Mapping[str, Any]) -> str:
    """One action as a sentence."""
    by_verb = {"unplaced": UNPLACED, "reject": REJECTED}.get(action["verb"], WEIGHT_CHANGE)
    template = SENTENCES.get(f"{action['verb']} {action['rule']}", by_verb)
    return template.format(**action, at_limit=_at_limit(action["rule"], action["limit"]))


def _at_limit(rule: str, limit: float | None) -> str:
    if limit is None:
        return ""
    return f" (limit {limit:.0f})" if rule in COUNTS else f" (limit {limit:.2%})"


def sentences(actions: pl.DataFrame) -> list[str]:
    """Actions as sentences, one to one and in their order."""
    return [sentence(action) for action in actions.iter_rows(named=True)]
