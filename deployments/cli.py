"""The command line: `evenkeel`.

Commands that run no flow do not import Prefect. An error is one clear paragraph and a non-zero exit status; `--debug`
adds the traceback. Exit status: 0 done, 1 an error, 2 wrong usage, 3 a portfolio was refused (the others were
published), 4 another run is at work on a portfolio (the others were published), 5 something that was verified differs.
"""

import datetime as dt
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from cyclopts import App, Parameter, Token
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from sqlalchemy.engine import Engine

from core import store
from core.approval import Approval
from core.errors import ConfigurationError, EvenkeelError, SkippedError, StoreError, nearest_hint
from core.limits import RebalancingLimits
from core.results.approval_text import approval_lines, approval_table
from core.results.diff_text import diff_document, headline, sections, titled
from core.results.document import document, to_json
from core.results.report import BatchReport, Outcome
from core.results.summary import summary, target_table
from core.results.tables import TEXT_COLUMNS, Row
from core.store import approvals
from core.version import __version__
from deployments.diff import diffs
from deployments.explain import told
from tasks.settings import named_policy, settings

FAILED, REFUSED, BUSY, DIFFERENT = 1, 3, 4, 5
PREFECT_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "core",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
WIDEST = 10_000  # characters of a line in a file

app = App(
    name="evenkeel",
    version=__version__,
    help="A daily portfolio rebalance that runs unattended and can be trusted.\n\nSettings come from the environment: "
    "EVENKEEL_DATABASE_URL (default: SQLite under var in the folder of the program), EVENKEEL_TARGETS (the folder of "
    "target files, by default there too) and EVENKEEL_POLICIES (default: deployments/policies); docs/scaling.md has "
    "those of shards.",
)


def _whole_number(_: object, given: Sequence[Token]) -> int:
    """A number as it is written; left to itself, the parser takes 2.5 for 2."""
    word = given[0].value
    if not re.fullmatch(r"[-+]?\d+", word):
        raise ValueError(f"{word!r} is no whole number")
    return int(word)


Shards = Annotated[int, Parameter(converter=_whole_number)]
Portfolios = Annotated[list[str] | None, Parameter(name=["--portfolio", "-p"], negative="")]
Switch = Annotated[bool, Parameter(negative="")]


@app.command
def init() -> None:
    """Create the tables, or upgrade them to this program."""
    database = _database()
    store.init(database)
    print(f"The tables are ready in {_shown(database)}.")


@app.command(name="demo-data")
def demo_data(*, as_of: dt.date | None = None) -> None:
    """Fill the tables with a small market of the project's own making.

    Some 120 names of a dozen sectors, two years of prices, three portfolios; the same for everybody.

    Parameters
    ----------
    as_of:
        The morning of the portfolios' snapshot. Default: today.
    """
    from deployments.demo_market import demo_market

    day = as_of or dt.datetime.now().astimezone().date()
    _print_loaded(store.load_frames(_ready(), demo_market(day)))


@app.command
def load(folder: Path) -> None:
    """Load files from a folder into the input tables, all or nothing.

    Parameters
    ----------
    folder:
        CSV or Parquet files named after the tables: positions.csv, cash.csv, prices.parquet, ... A row replaces the one
        with the same key.
    """
    _print_loaded(store.load_folder(_ready(), folder))


@app.command
def run(
    *,
    policy: str = "conservative",
    as_of: dt.date | None = None,
    portfolio: Portfolios = None,
    fresh: Switch = False,
    dry_run: Switch = False,
    approve_as: str | None = None,
    reason: str | None = None,
    shards: Shards = 1,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Run the daily rebalance.

    Parameters
    ----------
    policy:
        The policy's name, or a file.
    as_of:
        The morning to decide for. Default: today, in the policy's time zone.
    portfolio:
        Id of a portfolio; give it once for each. Default: all active ones.
    fresh:
        Read all inputs from the database as it stands. Otherwise a portfolio that was published for this morning
        already is decided from the inputs that were stored then.
    dry_run:
        Decide and show everything, but publish nothing.
    approve_as:
        Where the policy asks for a person's approval: the name of the one who gives it. Look at a dry run before.
    reason:
        Why it is approved.
    shards:
        In so many shards, of nearly equal size, the portfolios are decided and published; the targets are the same.
    as_json:
        Print the targets as JSON, by portfolio; not of a batch in shards, which does not gather them.
    """
    _require_shards(shards, as_json=as_json)
    named_policy(policy)  # an error in it, or a database that is not ready, is told at once
    _ready()
    approval = _approval(approve_as, reason)
    report = _run_flow(
        policy=policy,
        as_of=as_of,
        portfolios=portfolio,
        fresh=fresh,
        dry_run=dry_run,
        approval=approval,
        shards=shards,
    )
    if as_json:
        print(to_json(_documents(report, policy)))
    else:
        _console().print(Markdown(summary(report)))
        _print_rows(target_table(report.targets))
        _print_where(report)
    return _status(report)


def _status(report: BatchReport) -> int:
    if report.failed:
        return FAILED
    return REFUSED if report.refused else BUSY if report.busy else 0


@app.command
def backfill(
    first: dt.date,
    last: dt.date,
    *,
    policy: str = "conservative",
    portfolio: Portfolios = None,
    again: Switch = False,
    approve_as: str | None = None,
    reason: str | None = None,
    shards: Shards = 1,
) -> int:
    """Run the sessions of a range in order, each with the data of its day.

    Parameters
    ----------
    first:
        The first session.
    last:
        The last session, included.
    policy:
        The policy's name, or a file.
    portfolio:
        Id of a portfolio; give it once for each. Default: all active ones.
    again:
        Run sessions again that are current already, with fresh inputs.
    approve_as:
        Where the policy asks for a person's approval: the name of the one who gives it, for all sessions of the range.
    reason:
        Why they are approved.
    shards:
        In so many shards the portfolios of a session are decided and published.
    """
    _require_shards(shards)
    named_policy(policy)
    _ready()
    approval = _approval(approve_as, reason)
    _quieted()
    from flows.backfill import backfill as flow
    from flows.occasion import BatchBusyError, BatchRefusedError, SessionsError

    parameters = {
        "policy": policy,
        "portfolios": portfolio,
        "again": again,
        "approval": approval,
        "shards": shards,
    }
    state: Any = flow(first=first, last=last, **parameters, return_state=True)
    try:
        state.result()
    except SessionsError as ended:
        print(ended)
        ends = [cause for cause in ended.causes if not isinstance(cause, BatchBusyError)]
        return BUSY if not ends else REFUSED if all(isinstance(end, BatchRefusedError) for end in ends) else FAILED
    print(state.message)
    return 0


@app.command
def show(*, as_of: dt.date | None = None, portfolio: Portfolios = None) -> None:
    """Show the current targets.

    Parameters
    ----------
    as_of:
        Their date. Default: for each portfolio the latest one that has any.
    portfolio:
        Id of a portfolio; give it once for each. Default: all.
    """
    engine = _ready()
    days = store.latest_days(engine, as_of)
    known = set(days["portfolio_id"])
    for name in sorted(set(portfolio or ()) - known) if known else ():
        raise StoreError(f"portfolio {name!r} has no current targets; {nearest_hint(name, known)}")
    if portfolio is not None:
        days = days.filter(pl.col("portfolio_id").is_in(portfolio))
    if days.is_empty():
        raise StoreError("there are no current targets for that: publish some with `evenkeel run`.")
    for (day,), asked in days.partition_by("as_of", as_dict=True, maintain_order=True).items():
        part = store.read_current(engine, day).filter(pl.col("portfolio_id").is_in(asked["portfolio_id"].implode()))
        _console().print(f"[bold]Targets for {day}[/bold]")
        _print_rows(target_table(part))
        _print_approvals(part)


@app.command(name="approvals")
def list_approvals(*, as_of: dt.date | None = None, portfolio: str | None = None) -> None:
    """Show who was asked before targets were published, and what was said.

    Parameters
    ----------
    as_of:
        The date of the targets. Default: all.
    portfolio:
        Id of a portfolio. Default: all.
    """
    asked = approvals.read_approvals(_ready(), as_of, portfolio)
    if asked.is_empty():
        raise StoreError("nobody was asked about that: a policy asks where it has a section `approval`.")
    _print_rows(approval_table(asked, dt.datetime.now(dt.UTC)))


@app.command
def explain(
    symbol: str,
    *,
    portfolio: Annotated[str | None, Parameter(name=["--portfolio", "-p"])] = None,
    as_of: dt.date | None = None,
    markdown: Switch = False,
) -> None:
    """Say why a weight is what it is: signals, selection, and what each rule changed.

    Parameters
    ----------
    symbol:
        The name asked about.
    portfolio:
        Id of a portfolio. Default: all that considered the name.
    as_of:
        The date of the run. Default: the latest one.
    markdown:
        Print Markdown, for a ticket or a message.
    """
    print(told(_ready(), symbol, portfolio, as_of, markdown=markdown))


@app.command
def diff(
    before: str,
    after: str,
    *,
    portfolio: Annotated[str | None, Parameter(name=["--portfolio", "-p"])] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Say what changed from one run to another: inputs, policy, program, and which targets moved through which rule.

    Parameters
    ----------
    before:
        The id of a run, or its first 6 characters at least; or a date, for the runs that are current on it.
    after:
        The run or date to compare with it.
    portfolio:
        Id of a portfolio. Default, of dates: all that have a current run on both.
    as_json:
        Print everything as JSON, in full precision.
    """
    found = diffs(_ready(), settings().targets, before, after, portfolio)
    if as_json:
        print(to_json([diff_document(each) for each in found]))
        return
    for each in found:
        print("\n".join([titled(each), headline(each), *each.notes]))
        for title, rows in sections(each):
            print(f"\n{title}")
            _print_rows(rows)
        print()


@app.command
def verify(
    *,
    as_of: dt.date | None = None,
    portfolio: Annotated[str | None, Parameter(name=["--portfolio", "-p"])] = None,
    run_id: Annotated[str | None, Parameter(name="--run")] = None,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Verify what is published: files, rows and hashes, and that the stored inputs give the same targets again.

    Exit status 5 where something differs. Nothing is changed, and files that no run names stay where they are.

    Parameters
    ----------
    as_of:
        The date of the runs. Default: the latest one that has current targets.
    portfolio:
        Id of a portfolio. Default: all.
    run_id:
        One run, by its id or its first 6 characters at least; it may be a refused one.
    every:
        All runs that were ever published, superseded ones too, of the date asked for or else of all dates.
    as_json:
        Print every check as JSON.
    """
    from deployments import verify as verifying  # here, as it brings the engine, which other commands do without

    database, root = _ready(), settings().targets
    checks = verifying.checked(
        database, root, verifying.runs_to_verify(database, as_of, portfolio, run_id, every=every)
    )
    if as_json:
        print(to_json(verifying.document(checks)))
    else:
        _print_rows(verifying.lines(checks))
        print("\n".join(verifying.closing(checks)))
    return DIFFERENT if verifying.differs(checks) else 0


@app.command
def check(policy: str) -> None:
    """Read a policy, and say what is wrong with it or what it amounts to.

    Parameters
    ----------
    policy:
        Its name, or its file.
    """
    document_read = named_policy(policy)
    exchange = document_read.sessions
    if exchange is not None:
        exchange.latest(exchange.day_of(dt.datetime.now(dt.UTC)))  # not every calendar can be had for every year
    print(f"Policy {document_read.name} is right. With all defaults it reads:\n\n{document_read.document}")
    print("Limits on weights, in the order in which they are applied:")
    for constraint in document_read.constraint_set().constraints:
        print(f"- {constraint.statement}")


def _require_shards(count: int, *, as_json: bool = False) -> None:
    if count < 1:
        raise ConfigurationError(f"--shards is {count}: give 1 or more.")
    if count > 1 and as_json:
        raise ConfigurationError(
            "--json gathers all targets, which a batch in shards does not: leave out --shards, or read the targets "
            "afterwards from the view current_targets or the target files."
        )


def _approval(who: str | None, reason: str | None) -> Approval | None:
    """What a person agrees to beforehand, by name and with a reason."""
    if who is None and reason is None:
        return None
    if not (who and who.strip() and reason and reason.strip()):
        raise ConfigurationError("an approval needs a name and a reason: give --approve-as NAME and --reason WHY.")
    return Approval(who=who.strip(), reason=reason.strip())


def _run_flow(**parameters: Any) -> BatchReport:
    """Run the flow in this process, and return its report, also where it refused portfolios."""
    _quieted()
    from flows.daily_rebalance import rebalanced

    return rebalanced(**parameters)


def _quieted() -> None:
    """Tell Prefect, before it is imported, what a command line wants of it."""
    for name, default in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, default)
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Let a record pass, but for an error that is meant to be read without its traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, EvenkeelError):
        record.exc_info = record.exc_text = None
    return True


def _documents(report: BatchReport, policy: str) -> dict[str, Any]:
    """The JSON output of each portfolio that has targets; of the others what became of them, and why."""
    limits, having = named_policy(policy).limits, {*report.targets["portfolio_id"]}
    return {
        told.portfolio_id: _document(report, told, limits)
        if told.portfolio_id in having
        else {told.outcome: told.reason}
        for told in report.outcomes
    }


def _document(report: BatchReport, told: Outcome, limits: RebalancingLimits) -> dict[str, Any]:
    own = pl.col("portfolio_id") == told.portfolio_id
    frames = (report.targets, report.actions, report.bucket_statistics)
    targets, actions, statistics = (frame.filter(own) for frame in frames)
    return document(targets, actions, statistics, limits)


def _database() -> Engine:
    return store.engine_from_url(settings().database_url)


def _ready() -> Engine:
    database = _database()
    store.require_current(database)
    return database


def _shown(database: Engine) -> str:
    return database.url.set(query={}).render_as_string(hide_password=True)


def _console(width: int | None = None) -> Console:
    """As wide as the terminal, or as asked for; where output goes to a file, 160 characters."""
    return Console(width=width or (None if sys.stdout.isatty() else 160), highlight=False)


def _print_loaded(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        emptied = name == "positions" and "cash" in counts
        of_none = ": what has cash holds nothing" if emptied else ": nothing was changed"
        print(f"{name:<18}{count:>10,} {'row' if count == 1 else 'rows'}{'' if count else of_none}")


def _print_rows(rows: list[Row]) -> None:
    """A table: within a terminal, texts are broken but no number is; to a file, a line per row."""
    if not rows:
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        text = name in TEXT_COLUMNS
        table.add_column(name, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    for row in rows:
        table.add_row(*map(escape, row.values()))
    console = _console()
    least, most = Measurement.get(console, console.options.update(max_width=WIDEST), table)
    _console(max(console.width, least) if console.is_terminal else most).print(table)


def _print_approvals(targets: pl.DataFrame) -> None:
    """Who approved targets that are shown."""
    asked = approvals.read_approvals(_database()).filter(decision="approved")
    approved = asked.join(targets.select("run_id").unique(), on="run_id", how="semi")
    for line in approval_lines(approved.unique("run_id", keep="last", maintain_order=True)):
        print(line)


def _print_where(report: BatchReport) -> None:
    if report.counted is not None:
        print(f"\nThe first {report.targets.height:,} of {report.counted.rows['targets']:,} targets are shown.")
    if report.dry_run:
        return
    print(f"\nTarget files: {settings().targets}")
    print(f"Database:     {_shown(_database())} (view current_targets)")
    print(f"Look again:   evenkeel show --as-of {report.as_of}")


def _paragraph(error: Exception) -> str:
    """An error that is meant to be read as it stands; any other with its kind, as it should not happen."""
    if isinstance(error, EvenkeelError):
        return str(error)
    told = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {told}. This should not happen; --debug says where."


def main() -> None:
    """Run a command; entry point of `evenkeel`."""
    words = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        status = app(words, result_action="return_value")
    except SkippedError as reason:
        print(f"Skipped: {reason}")
        sys.exit(0)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {_paragraph(error)}", file=sys.stderr)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
