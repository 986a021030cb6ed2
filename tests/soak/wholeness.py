"""What must be true of a world after a run was disturbed, and after a rerun.

`half_seen`: readers see each portfolio as it was before or as it is to be. `differing`: all is as after an undisturbed
run. `strange_files`: files and rows name each other. Each returns what is wrong, in words; nothing means that all is
well.
"""

from core.store.ownership import NAME
from tests.soak.worlds import Known, World


def half_seen(found: Known, before: Known, after: Known) -> list[str]:
    """Every portfolio as before or as it is to be, and every run that is there with all its rows."""
    wrong = [
        f"readers see half of {name}"
        for name in {*after.targets, *found.targets}
        if not any(_same(name, found, whole) for whole in (before, after))
    ]
    for run_id, run in found.runs.items():
        if {**run, "status": None} != {**after.runs.get(run_id, {}), "status": None}:
            wrong.append(f"run {run_id} should not be there as {run}")
    return wrong + [f"rows of {key} are not whole" for key, rows in found.rows.items() if after.rows.get(key) != rows]


def differing(found: Known, after: Known) -> list[str]:
    """What is not as after an undisturbed run: runs, their rows, which is current, in which succession, and targets."""
    names = ("runs", "rows", "current", "promotions")
    wrong = [f"{name} are not those of an undisturbed run" for name in names if vars(found)[name] != vars(after)[name]]
    return wrong + [
        f"the targets of {name} are not those of an undisturbed run"
        for name in {*found.targets, *after.targets}
        if not _same(name, found, after)
    ]


def strange_files(world: World, known: Known) -> list[str]:
    """Files that no row names, and files that are named and not there."""
    there = {str(path.relative_to(world.targets)) for path in world.targets.rglob("*") if path.is_file()} - {NAME}
    orphans = [f"nobody names file {path}" for path in sorted(there - known.files)]
    return orphans + [f"file {path} is missing" for path in sorted(known.files - there)]


def _same(portfolio_id: str, found: Known, whole: Known) -> bool:
    """Whether a portfolio's current run, targets and succession are those of a whole state."""
    mine, theirs = found.targets.get(portfolio_id), whole.targets.get(portfolio_id)
    return (
        found.current.get(portfolio_id) == whole.current.get(portfolio_id)
        and found.promotions.get(portfolio_id) == whole.promotions.get(portfolio_id)
        and (mine is None if theirs is None else mine is not None and mine.equals(theirs))
    )
