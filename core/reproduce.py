"""Verification of what stands in the store: that runs are what they were, and come about again.

`verification` checks runs, one row per check. What a run has published: its file against the checksum, the file's rows
against those in SQL (`_written`). What it was made from: the content of each stored frame, the hash of its input rows,
the policy and the run's own id, computed anew (`_made_from`). What comes of that: each set of inputs is decided again
under each policy that was used on it, once for all its portfolios (`_derived`), and the targets, or the reason of a
refusal, are compared with what is stored (`_derivation`): bit for bit where the same program in the same environment
made them, else to the tolerance of all comparisons.

`leftovers` lists files that no run names; `verdicts` sums up each run.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from sqlalchemy.engine import Engine

from core import store
from core.batch import Occasion, judged, records
from core.consent import lacks_approval
from core.engine import considered_universe, decided
from core.errors import EvenkeelError, StoreError
from core.limits import TOLERANCE
from core.models import Inputs
from core.policy_file import parse_policy
from core.results.diff import parts_apart
from core.results.identity import environment, frame_hashes, inputs_hashes, inputs_id, run_id
from core.schemas import CASH_SYMBOL, Targets
from core.store import RunRecord
from core.store.files import read_file
from core.version import __version__

VERIFIED, DIFFERS, UNCHECKED, UNNAMED = "verified", "differs", "unchecked", "unnamed"
IN_PART = "in part"  # of a run: what could be checked is right
BITS = "bit for bit"
KEPT_NO_LONGER = "no longer kept: the housekeeping removed {}, after the period for which it keeps superseded runs"
KEPT_NOTHING = "only file and rows can be checked: the run is of a program that kept no inputs"
CHECKS = {
    "portfolio_id": pl.String(),
    "as_of": pl.Date(),
    "run_id": pl.String(),
    "check": pl.String(),  # file, rows, inputs, policy, identity, targets, refusal; leftover: a file of no run
    "verdict": pl.String(),  # verified, differs, unchecked, unnamed
    "detail": pl.String(),
}
WEIGHTS = ("target_weight", "wanted_weight", "current_weight", "trade_weight")

Run = Mapping[str, Any]
"""A row of table `runs`."""


@dataclass(frozen=True)
class Check:
    """What became of one check of one run."""

    check: str
    verdict: str
    detail: str


def verification(engine: Engine, root: Path, runs: pl.DataFrame) -> pl.DataFrame:
    """Every check of some runs, in their order: portfolio_id, as_of, run_id, check, verdict, detail.

    `runs`: rows of table `runs`. `root`: the folder of all targets. Nothing is changed.
    """
    made: dict[str, list[Check]] = {}
    for part in runs.partition_by("inputs_id", "as_of", maintain_order=True):
        made |= _made(engine, root, part)
    rows = [
        (run["portfolio_id"], run["as_of"], run["run_id"], *astuple(check))
        for run in runs.iter_rows(named=True)
        for check in (*_written(engine, root, run), *made[run["run_id"]])
    ]
    return pl.DataFrame(rows, schema=CHECKS, orient="row")


def leftovers(engine: Engine, root: Path) -> pl.DataFrame:
    """One row per file that no run names, in the columns of `verification`; they are left where they are."""
    told = "no run names it: a killed run left it, or one that is publishing now will name it"
    rows = [(None, None, None, "leftover", UNNAMED, f"{path}: {told}") for path in store.unnamed_files(engine, root)]
    return pl.DataFrame(rows, schema=CHECKS, orient="row")


def verdicts(checks: pl.DataFrame) -> pl.DataFrame:
    """One row per run: `differs` with what differs, `verified` with how exactly, or `in part` with what is missing."""
    verdict, detail = pl.col("verdict"), pl.col("detail")
    worst = (
        pl.when((verdict == DIFFERS).any()).then(pl.lit(DIFFERS))
        .when((verdict == UNCHECKED).any()).then(pl.lit(IN_PART))
        .otherwise(pl.lit(VERIFIED))
    )  # fmt: skip
    telling = {DIFFERS: verdict == DIFFERS, IN_PART: verdict == UNCHECKED}
    runs = checks.drop_nulls("run_id").group_by("portfolio_id", "as_of", "run_id", maintain_order=True)
    summed = runs.agg(
        worst.alias("verdict"),
        last=detail.last(),
        **{name: pl.format("{}: {}", "check", "detail").filter(kind).str.join("; ") for name, kind in telling.items()},
    )
    told = pl.coalesce(*(pl.when(verdict == name).then(name) for name in telling), "last")
    return summed.select("portfolio_id", "as_of", "run_id", "verdict", detail=told)


# what was published


def _written(engine: Engine, root: Path, run: Run) -> list[Check]:
    """The target file against its checksum, and its rows against those in SQL; a refused run has neither."""
    if run["parquet_path"] is None:
        return _without_file(run)
    stored = store.run_rows(engine, "targets", run["run_id"])
    try:
        filed = read_file(root, run["parquet_path"], run["parquet_sha256"])
    except StoreError as error:
        return [Check("file", DIFFERS, str(error))]
    own = filed.filter(run_id=run["run_id"]).drop("run_id")
    apart = _cells_apart(own, stored, ("in the file", "in SQL"))
    rows = Check("rows", DIFFERS, apart) if apart else Check("rows", VERIFIED, f"{stored.height} in file and SQL alike")
    return [Check("file", VERIFIED, "has its checksum"), rows]


def _without_file(run: Run) -> list[Check]:
    """A refused run has no file; that of a superseded one may have been removed, which leaves its checksum."""
    if run["status"] == "refused":
        return []
    if run["status"] == "superseded" and run["parquet_sha256"] is not None:
        return [Check("file", UNCHECKED, KEPT_NO_LONGER.format("it"))]
    return [Check("file", DIFFERS, "its row names no file")]


# what it was made from, and what comes of that


def _made(engine: Engine, root: Path, runs: pl.DataFrame) -> dict[str, list[Check]]:
    """The checks of runs that were made from one set of inputs."""
    set_id, as_of = runs.select("inputs_id", "as_of").row(0)
    if set_id is None:
        return {each: [Check("inputs", UNCHECKED, KEPT_NOTHING)] for each in runs["run_id"]}
    if not store.inputs_kept(engine, set_id):
        return {run["run_id"]: [_without_inputs(run)] for run in runs.iter_rows(named=True)}
    try:
        inputs = store.stored_inputs(engine, root, set_id, as_of)
    except StoreError as error:
        return {each: [Check("inputs", DIFFERS, str(error))] for each in runs["run_id"]}
    hashes = frame_hashes(inputs)
    if inputs_id(hashes) != set_id:  # other frames, of whatever columns
        return {each: [_same("inputs", set_id, inputs_id(hashes))] for each in runs["run_id"]}
    own = inputs_hashes(inputs, hashes)
    checks: dict[str, list[Check]] = {}
    for alike in runs.partition_by("policy", maintain_order=True):
        derived = _derived(inputs, alike.row(0, named=True))
        for run in alike.iter_rows(named=True):
            made_from = _made_from(engine, run, own.get(run["portfolio_id"], "that of no row"))
            checks[run["run_id"]] = [*made_from, _derivation(engine, run, derived)]
    return checks


def _without_inputs(run: Run) -> Check:
    """Inputs that no row names any more: the housekeeping removes them, but never those of a current run."""
    if run["status"] == "published":
        return Check("inputs", DIFFERS, f"no inputs {run['inputs_id']} are stored")
    return Check("inputs", UNCHECKED, KEPT_NO_LONGER.format("them"))


def _made_from(engine: Engine, run: Run, own_hash: str) -> list[Check]:
    """The hashes of inputs and policy, and the id of the run from them, computed anew."""
    inputs = _same("inputs", run["inputs_hash"], own_hash)
    policy = _same("policy", run["policy_hash"], _document_hash(run["policy"]))
    anew = _identity(run, own_hash)
    if lacks_approval(engine, anew, run["run_id"], run["batch_id"]):
        return [inputs, policy, Check("identity", VERIFIED, f"that of run {anew} without approval")]
    return [inputs, policy, _same("identity", run["run_id"], anew)]


def _identity(run: Run, own_hash: str) -> str:
    return run_id(run["as_of"], run["portfolio_id"], _document_hash(run["policy"]), own_hash, run["program_version"])


def _same(check: str, stored: str, computed: str) -> Check:
    if stored != computed:
        return Check(check, DIFFERS, f"its hash is stored as {stored}, and is {computed}")
    return Check(check, VERIFIED, "has its hash")


def _document_hash(document: str) -> str:
    """`Policy.hash` of a stored document as it stands: a later program may have further keys, with defaults."""
    try:
        content = json.dumps(yaml.safe_load(document), sort_keys=True)
    except (yaml.YAMLError, TypeError, ValueError):
        return "that of no policy"
    return hashlib.sha256(content.encode()).hexdigest()


def _derived(inputs: Inputs, run: Run) -> dict[str, RunRecord] | EvenkeelError:
    """What the stored inputs give under a run's policy, by portfolio; or why they give nothing."""
    try:
        policy = parse_policy(run["policy"], f"of run {run['run_id']}")
        facts = judged(inputs, policy)
        plan = decided(considered_universe(facts.gated, policy), facts.signal_values, facts.gated.nav, policy)
        made = records(facts, plan, Occasion(policy, run["as_of"], run["batch_id"], run["started_at"]))
    except EvenkeelError as error:
        return error
    return {record.portfolio_id: record for record in made}


def _derivation(engine: Engine, run: Run, derived: Mapping[str, RunRecord] | EvenkeelError) -> Check:
    """What was derived anew beside what is stored."""
    check = "refusal" if run["status"] == "refused" else "targets"
    if isinstance(derived, EvenkeelError):
        return Check(check, DIFFERS, f"cannot be derived anew: {derived}")
    record = derived.get(run["portfolio_id"])
    if record is None:
        return Check(check, DIFFERS, "the stored inputs have no such portfolio")
    elsewhere = _elsewhere(run)
    if run["status"] == "refused":
        return _refused_again(engine, run, record, elsewhere)
    if record.refused:
        return Check(check, DIFFERS, f"would be refused now: {record.refusal}{_aside(elsewhere)}")
    stored = store.run_rows(engine, "targets", run["run_id"])
    sides = ("stored", "derived anew")
    apart = _weights_apart(stored, record.targets, sides) if elsewhere else _cells_apart(stored, record.targets, sides)
    if apart:
        return Check(check, DIFFERS, f"{apart}{_aside(elsewhere)}")
    return Check(check, VERIFIED, f"to {TOLERANCE:.0e}: {elsewhere}".replace("e-0", "e-") if elsewhere else BITS)


def _refused_again(engine: Engine, run: Run, record: RunRecord, elsewhere: str) -> Check:
    """The reason, word for word in the same environment; elsewhere the last digits of its numbers may be others."""
    if not record.refused:
        if lacks_approval(engine, _identity(run, record.inputs_hash), run["run_id"], run["batch_id"]):
            return Check("refusal", VERIFIED, f"a person's, or for want of one: {run['reason']}")
        return Check("refusal", DIFFERS, f"would be published now; it was refused: {run['reason']}{_aside(elsewhere)}")
    if record.refusal != run["reason"] and not elsewhere:
        return Check("refusal", DIFFERS, f"was refused: {run['reason']} Would be refused now: {record.refusal}")
    again = f"refused again{_aside(elsewhere)}" if elsewhere else "refused again for the same reason"
    return Check("refusal", VERIFIED, again)


def _elsewhere(run: Run) -> str:
    """By which other program or in which other environment a run was made; nothing where it was made by this one."""
    programs = [f"Evenkeel {name}" for name in (run["program_version"], __version__)]
    surroundings = (run["environment"] or "an unknown environment", environment())
    then, now = (f"{program}, {around}" for program, around in zip(programs, surroundings, strict=True))
    if then == now:
        return ""
    old, new = parts_apart(then, now)
    return f"published under {old or then}, here {new or now}"


def _aside(elsewhere: str) -> str:
    return f" ({elsewhere})" if elsewhere else ""


# rows beside rows


def _cells_apart(left: pl.DataFrame, right: pl.DataFrame, sides: tuple[str, str]) -> str:
    """The cells in which targets differ, in words, the first one in full; nothing where they are the same bits."""
    both = _beside(left, right)
    columns = [*WEIGHTS, *(name for name in Targets.columns() if name not in (*WEIGHTS, "symbol"))]
    differ = [_apart(both, name, pl.col(name).ne_missing(pl.col(f"{name} right"))) for name in columns]
    return _told(left, right, pl.concat(differ), sides)


def _weights_apart(left: pl.DataFrame, right: pl.DataFrame, sides: tuple[str, str]) -> str:
    """The same for weights alone, beyond the tolerance; a name without a row weighs 0."""
    both = _beside(left, right).with_columns(pl.col(name, f"{name} right").fill_null(0.0) for name in WEIGHTS)
    differ = [_apart(both, name, (pl.col(name) - pl.col(f"{name} right")).abs() > TOLERANCE) for name in WEIGHTS]
    return _told(left, right, pl.concat(differ), sides)


def _beside(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """The rows of both by symbol, cash last, which differs wherever a name does."""
    both = left.join(right, on="symbol", how="full", coalesce=True, suffix=" right")
    return both.sort(pl.col("symbol") == CASH_SYMBOL, "symbol")


def _apart(both: pl.DataFrame, column: str, differs: pl.Expr) -> pl.DataFrame:
    """symbol, column, left, right: the cells of a column that differ, as text in full precision."""
    return both.filter(differs).select(
        "symbol",
        column=pl.lit(column),
        left=pl.col(column).cast(pl.String),
        right=pl.col(f"{column} right").cast(pl.String),
    )


def _told(left: pl.DataFrame, right: pl.DataFrame, cells: pl.DataFrame, sides: tuple[str, str]) -> str:
    if cells.is_empty():
        return ""
    symbol, column, *texts = cells.row(0)
    for known, side in ((left, sides[0]), (right, sides[1])):
        if symbol not in known["symbol"]:
            return f"{symbol} is not {side}{_more(cells)}"
    of = " and ".join(f"{text} {side}" for text, side in zip(texts, sides, strict=True))
    return f"{column} of {symbol} is {of}{_more(cells)}"


def _more(cells: pl.DataFrame) -> str:
    others = cells["symbol"].n_unique() - 1
    if others == 0:
        return ""
    return "; one more symbol differs" if others == 1 else f"; {others} more symbols differ"
