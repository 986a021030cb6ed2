"""What changed from one run to another, as rows: what differs in what they were made from, and in what came of it.

`difference` compares two stored runs of one portfolio: the rows that each was made from (core.results.input_diff), the
policies (`policy_changes`, along dotted paths), version and environment (`_program_changes`).

`_targets` tells which targets moved. Of each, `_causes` splits the move: the change of the wanted weight, then for each
rule what it changed in the second run less what it changed in the first (core.results.explain); the parts add up.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from core.limits import TOLERANCE
from core.models import Inputs
from core.results.explain import EXACT
from core.results.input_diff import INPUT_CHANGES, input_changes
from core.schemas import CASH_SYMBOL

CHANGES = {"key": pl.String(), "before": pl.String(), "after": pl.String()}
WANTED = "wanted weight"
NAMES = "what the names leave"  # the cause of a move of cash
UNTOLD = "not told"  # what explanations that were not stored would have told


@dataclass(frozen=True)
class RunFacts:
    """A run as it is named beside another; the columns of table `runs`."""

    run_id: str
    portfolio_id: str
    as_of: dt.date
    status: str
    policy_name: str
    program_version: str
    environment: str | None
    reason: str | None


@dataclass(frozen=True)
class StoredRun:
    """What is stored of a run. `inputs`: those of its batch, None where they are not compared; `policy`: its document.

    The frames have the schemas `Targets`, `Decisions` and `Explanations`.
    """

    facts: RunFacts
    policy: Mapping[str, Any] = field(repr=False)
    inputs: Inputs | None = field(repr=False)
    targets: pl.DataFrame = field(repr=False)
    decisions: pl.DataFrame = field(repr=False)
    explanations: pl.DataFrame = field(repr=False)


@dataclass(frozen=True)
class RunDiff:
    """Everything that differs between two runs.

    - `inputs`: frame, change, row, column, before, after, rows (`INPUT_CHANGES`), as text.
    - `policy`, `program`: key, before, after, as text; null where there is no such key.
    - `targets`: one row per target that moved: symbol, outcome (entered, left, moved), before, after, change; the
      scores and reasons of the decision: score_before, score_after, why_before, why_after.
    - `causes`: one row per symbol and rule: symbol, rule, limit_before, limit_after, before, after (what the rule
      changed in each run; of `wanted weight`, that weight), change. By symbol, the changes add up to the move to 1e-12.
    - `notes`: what could not be compared, and why.
    """

    before: RunFacts
    after: RunFacts
    inputs: pl.DataFrame = field(repr=False)
    policy: pl.DataFrame = field(repr=False)
    program: pl.DataFrame = field(repr=False)
    targets: pl.DataFrame = field(repr=False)
    causes: pl.DataFrame = field(repr=False)
    notes: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return all(rows.is_empty() for rows in (self.inputs, self.policy, self.program, self.targets))


def difference(before: StoredRun, after: StoredRun, notes: Sequence[str] = ()) -> RunDiff:
    """What changed from one run of a portfolio to another one of it; `notes` say what could not be read."""
    moved = _targets(before, after)
    refused = [run.facts for run in (before, after) if run.facts.status == "refused"]
    return RunDiff(
        before=before.facts,
        after=after.facts,
        inputs=_input_changes(before, after),
        policy=policy_changes(before.policy, after.policy),
        program=_program_changes(before.facts, after.facts),
        targets=moved.clear() if refused else moved,
        causes=_causes(before, after, moved.clear() if refused else moved),
        notes=[*notes, *(f"Run {run.run_id} was refused, so it has no targets: {run.reason}" for run in refused)],
    )


def _input_changes(before: StoredRun, after: StoredRun) -> pl.DataFrame:
    if before.inputs is None or after.inputs is None:
        return pl.DataFrame(schema=INPUT_CHANGES)
    return input_changes(before.inputs, after.inputs, before.facts.portfolio_id)


# policy and program


def policy_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> pl.DataFrame:
    """The keys in which two policy documents differ: dotted path, before, after.

    Constraints are matched by their kind, signals by their name.
    """
    old, new = (dict(_leaves(document, "")) for document in (before, after))
    paths = dict.fromkeys([*old, *new])
    rows = [(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)]
    return pl.DataFrame(rows, schema=CHANGES, orient="row")


def _leaves(content: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every single setting below a path, as text; of a list of sections also their order. What is empty has none."""
    if isinstance(content, list) and content and all(isinstance(item, dict) for item in content):
        labels = _labels(content)
        yield f"{path} (in this order)", ", ".join(labels)
        content = dict(zip(labels, content, strict=True))
    if isinstance(content, dict):
        for key, inner in content.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif content != []:
        yield path, content if isinstance(content, str) else json.dumps(content, sort_keys=True)


def _labels(sections: Sequence[Mapping[str, Any]]) -> list[str]:
    """The name or kind of each section of a list; a second one of the same is numbered."""
    plain = [str(section.get("name") or section.get("kind") or "") for section in sections]
    seen = [plain[:place].count(label) + 1 for place, label in enumerate(plain)]
    return [label if number == 1 else f"{label}[{number}]" for label, number in zip(plain, seen, strict=True)]


def _program_changes(before: RunFacts, after: RunFacts) -> pl.DataFrame:
    versions = ("program version", before.program_version, after.program_version)
    surroundings = ("environment", *parts_apart(before.environment or "not known", after.environment or "not known"))
    rows = [row for row in (versions, surroundings) if row[1] != row[2]]
    return pl.DataFrame(rows, schema=CHANGES, orient="row")


def parts_apart(before: str, after: str) -> tuple[str, str]:
    """Two environments without what they have in common."""
    old, new = before.split(", "), after.split(", ")
    return ", ".join(part for part in old if part not in new), ", ".join(part for part in new if part not in old)


# targets


def _targets(before: StoredRun, after: StoredRun) -> pl.DataFrame:
    """The targets that moved, the largest move first and cash last."""
    old, new = _weights(before), _weights(after)
    both = old.join(new, on="symbol", how="full", coalesce=True, suffix="_after")
    weights = both.select(
        "symbol",
        before=pl.col("target_weight").fill_null(0.0),
        after=pl.col("target_weight_after").fill_null(0.0),
        score_before="score",
        score_after="score_after",
        why_before="why",
        why_after="why_after",
    )
    outcome = (
        pl.when(pl.col("before").abs() <= TOLERANCE).then(pl.lit("entered"))
        .when(pl.col("after").abs() <= TOLERANCE).then(pl.lit("left"))
        .otherwise(pl.lit("moved"))
    )  # fmt: skip
    is_cash = pl.col("symbol") == CASH_SYMBOL
    moved = weights.with_columns(
        outcome=pl.when(is_cash).then(pl.lit("moved")).otherwise(outcome), change=pl.col("after") - pl.col("before")
    ).filter(pl.col("change").abs() > TOLERANCE)
    ordered = moved.sort(is_cash, -pl.col("change").abs(), "symbol")
    told = ("score_before", "score_after", "why_before", "why_after")
    return ordered.select("symbol", "outcome", "before", "after", "change", *told)


def _weights(run: StoredRun) -> pl.DataFrame:
    """symbol, target_weight, wanted_weight, score, why: of the names that a run decided about, and cash."""
    targets = run.targets.select("symbol", "target_weight", wanted="wanted_weight")
    decided = run.decisions.select("symbol", "wanted_weight", "score", "why")
    return targets.join(decided, on="symbol", how="full", coalesce=True).select(
        "symbol", "target_weight", pl.coalesce("wanted_weight", "wanted").fill_null(0.0), "score", "why"
    )


def _causes(before: StoredRun, after: StoredRun, moved: pl.DataFrame) -> pl.DataFrame:
    """What the move of each target is made of, in the order of the chain."""
    names = moved.filter(pl.col("symbol") != CASH_SYMBOL)
    parts = [_part(_weights(run), run.explanations, names["symbol"]) for run in (before, after)]
    joined = parts[0].join(parts[1], on=["symbol", "rule"], how="full", coalesce=True, suffix="_after")
    told = joined.with_columns(place=pl.coalesce("place_after", "place")).select(
        "symbol",
        "rule",
        "place",
        limit_before="limit",
        limit_after="limit_after",
        before=pl.col("amount").fill_null(0.0),
        after=pl.col("amount_after").fill_null(0.0),
    )
    amounts = told.with_columns(change=pl.col("after") - pl.col("before"))
    cash = moved.filter(pl.col("symbol") == CASH_SYMBOL)
    whole = pl.concat([amounts, _rest(names, amounts), _rest(cash, amounts, NAMES)])
    order = moved.select("symbol").with_row_index("rank")
    return (
        whole.filter(pl.col("change") != 0)
        .join(order, on="symbol", maintain_order="left")
        .sort("rank", "place", "rule", maintain_order=True)
        .drop("rank", "place")
    )


def _part(weights: pl.DataFrame, explained: pl.DataFrame, symbols: pl.Series) -> pl.DataFrame:
    """symbol, rule, place, limit, amount: the wanted weight, then what each rule changed, its steps taken together."""
    wanted = weights.select(
        "symbol",
        rule=pl.lit(WANTED),
        place=pl.lit(0, pl.Int64),
        limit=pl.lit(None, pl.Float64),
        amount="wanted_weight",
    )
    rules = explained.group_by("symbol", "rule", maintain_order=True).agg(
        place=pl.col("seq").first().cast(pl.Int64), limit=pl.col("limit").last(), amount=pl.col("change").sum()
    )
    in_order = rules.with_columns(place=pl.col("place") - pl.col("place").min().over("symbol") + 1)
    return pl.concat([wanted, in_order]).filter(pl.col("symbol").is_in(symbols.implode()))


def _rest(moved: pl.DataFrame, amounts: pl.DataFrame, rule: str = UNTOLD) -> pl.DataFrame:
    """What the rules leave of the moves, so that the amounts add up whatever was stored."""
    sums = amounts.group_by("symbol").agg(made=pl.col("change").sum())
    rest = moved.join(sums, on="symbol", how="left").select(
        "symbol",
        rule=pl.lit(rule),
        place=pl.lit(2**31, pl.Int64),
        limit_before=pl.lit(None, pl.Float64),
        limit_after=pl.lit(None, pl.Float64),
        before=pl.lit(0.0),
        after=pl.col("change") - pl.col("made").fill_null(0.0),
        change=pl.col("change") - pl.col("made").fill_null(0.0),
    )
    return rest.filter(pl.col("change").abs() > EXACT)
