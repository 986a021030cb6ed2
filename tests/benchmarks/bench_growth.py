"""How the cost of a batch grows with portfolios and with names, over three decades of each.

`python -m tests.benchmarks.bench_growth`: from the database to published targets on PostgreSQL, as `bench_shards` does
it, in shards of at most 50 portfolios. Each size is run in a process of its own, after a dry run that loads the
libraries; the median of `ROUNDS`. Writes the plot into `docs/growth.svg` and the table into `docs/growth.md`.
"""

from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt

from tasks.runners import WORKERS
from tests.benchmarks.bench_shards import databases, measured

DOCS = Path(__file__).parents[2] / "docs"
PORTFOLIOS = [(portfolios, 500) for portfolios in (1, 10, 100, 1000)]
NAMES = [(10, names) for names in (5, 50, 500, 5000)]
PER_SHARD = 50
ROUNDS = 3


def seconds(portfolios: int, names: int) -> float:
    """The median time of a batch of this size."""
    shards = -(-portfolios // PER_SHARD)
    times = []
    with databases(on_sqlite=False) as urls:
        for _ in range(ROUNDS):
            told = measured(next(urls), portfolios, names, shards, WORKERS, "threads")
            if told["published"] != portfolios:
                raise SystemExit(f"{told['published']} of {portfolios} portfolios were published")
            times.append(float(told["seconds"]))
    return median(times)


def table(times: dict[tuple[int, int], float]) -> str:
    """The table, in Markdown."""
    rows = [
        f"| {portfolios:,} × {names:,} | {took:.2f} | {1e6 * took / portfolios / names:,.0f} |"
        for (portfolios, names), took in times.items()
    ]
    return "\n".join(["| portfolios × names | seconds | µs per name |", "| --- | --: | --: |", *rows]) + "\n"


def plot(times: dict[tuple[int, int], float], path: Path) -> None:
    """The two lines, on logarithmic axes; a line of the steepness of proportional growth beside them."""
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for sizes, label in (
        (PORTFOLIOS, "1 to 1,000 portfolios of 500 names"),
        (NAMES, "10 portfolios of 5 to 5,000 names"),
    ):
        rows = [portfolios * names for portfolios, names in sizes]
        axes.plot(rows, [times[size] for size in sizes], marker="o", label=label)
    most = max(portfolios * names for portfolios, names in times)
    top = max(times.values())
    axes.plot([most / 1e3, most], [top / 1e3, top], color="#a1a1aa", linestyle=":", label="proportional growth")
    axes.set(xscale="log", yscale="log", xlabel="portfolios × names", ylabel="seconds")
    axes.grid(visible=True, which="major", color="#e4e4e7")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure each size, print the table, and write both."""
    times = {}
    for size in dict.fromkeys([*PORTFOLIOS, *NAMES]):
        times[size] = seconds(*size)
        print(f"{size[0]:>8,} x {size[1]:>6,} {times[size]:8.2f} s", flush=True)
    plot(times, DOCS / "growth.svg")
    (DOCS / "growth.md").write_text(f"# How the cost of a batch grows\n\n![seconds](growth.svg)\n\n{table(times)}")


if __name__ == "__main__":
    main()
