"""`make screenshots`: what a person sees, from a real server, as the pictures in `docs/`.

`SHOTS` are the pages; each is what the first UI or the second shows in a window of a size. They are taken of two days
of the demo market, so that there is something to compare with.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser

from tasks.settings import ROOT
from tests.browser.pages import First, Second, chromium
from tests.browser.site import BEFORE, DAY, Site

DOCS = ROOT / "docs"
SETTLED = 3_000  # milliseconds until a page has drawn itself
COLOURS = 256


@dataclass(frozen=True)
class Shot:
    """A picture: in which UI, how large a window, and what is done before."""

    name: str
    ui: type[First]
    size: tuple[int, int]
    opened: Callable[[First, Site, Mapping[str, str]], None]


def run_page(ui: First, _site: Site, runs: Mapping[str, str]) -> None:
    """The page of a run, with its artifacts."""
    ui.open(f"/runs/flow-run/{runs['published']}")
    ui.tab("Artifacts")


def summary(ui: First, site: Site, runs: Mapping[str, str]) -> None:
    """The summary of a run."""
    ui.open(f"/artifacts/artifact/{site.artifact(runs['published'], 'rebalance-summary')}")


def refusal(ui: First, site: Site, runs: Mapping[str, str]) -> None:
    """The summary of a run that was refused."""
    ui.open(f"/artifacts/artifact/{site.artifact(runs['refused'], 'rebalance-summary')}")


def form(ui: First, site: Site, _runs: Mapping[str, str]) -> None:
    """The form of another run, filled in."""
    ui.open(site.form)
    ui.choose("policy", "aggressive")
    ui.pick("as_of", DAY)
    ui.list("portfolios", "balanced")
    ui.switch("dry_run")


def approval(ui: First, _site: Site, runs: Mapping[str, str]) -> None:
    """The form of a run that waits for a person."""
    ui.open(f"/runs/flow-run/{runs['waiting']}")
    ui.resume()


SHOTS = (
    Shot("run", First, (1440, 1100), run_page),
    Shot("summary", First, (1440, 1400), summary),
    Shot("summary-v2", Second, (1440, 1400), summary),
    Shot("refused", Second, (1440, 800), refusal),
    Shot("form", Second, (1440, 1200), form),
    Shot("approval", First, (1440, 1300), approval),
)


def taken(browser: Browser, site: Site, folder: Path) -> list[Path]:
    """Make the runs, and take all pictures of them."""
    site.run(as_of=str(BEFORE))
    runs = {
        "published": site.run(as_of=str(DAY))["id"],
        "refused": site.run("FAILED", as_of=str(DAY), policy="strict")["id"],
        "waiting": site.run("PAUSED", as_of=str(DAY), policy="asking", portfolios=["balanced"])["id"],
    }
    return [_taken(browser, site, shot, runs, folder) for shot in SHOTS]


def _taken(browser: Browser, site: Site, shot: Shot, runs: Mapping[str, str], folder: Path) -> Path:
    ui = shot.ui(browser, site.address, size=shot.size)
    shot.opened(ui, site, runs)
    ui.page.wait_for_timeout(SETTLED)
    path = folder / f"{shot.name}.png"
    ui.page.screenshot(path=path)
    ui.page.close()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    return path


def main() -> int:
    """Take all pictures anew."""
    with TemporaryDirectory() as folder, chromium() as browser:
        site = Site(Path(folder))
        try:
            for path in taken(browser, site, DOCS):
                print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")
        finally:
            site.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
