"""How a person uses the two UIs of a Prefect server: what to click to start a run, to look at it, and to answer it.

`First` is the UI that the links of a run open, `Second` the one below `/v2`. They use the same names for most things.
"""

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as Late

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-software-rasterizer",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTLED = 8_000  # milliseconds
IS_CUT = """table => {
    for (let around = table.parentElement; around; around = around.parentElement)
        if (table.getBoundingClientRect().right > around.getBoundingClientRect().right + 1) return true
    return false
}"""
PATIENCE = 60_000  # milliseconds; two cores, and a server beside


@contextmanager
def chromium() -> Iterator[Browser]:
    """The distribution's browser, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


class First:
    """The first UI."""

    prefix = ""
    send = "Submit"  # the button of the form of a run that waits

    def __init__(
        self, browser: Browser, address: str, *, dark: bool = False, size: tuple[int, int] = (1280, 900)
    ) -> None:
        scheme, (width, height) = "dark" if dark else "light", size
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page.set_default_timeout(PATIENCE)
        self._address = address

    def open(self, path: str) -> Page:
        """Open a page of the UI."""
        self.page.goto(f"{self._address}{self.prefix}{path}")
        with suppress(Late):  # some pages never cease to ask
            self.page.wait_for_load_state("networkidle", timeout=SETTLED)
        return self.page

    def tab(self, name: str) -> None:
        """Open a tab of the page."""
        self.page.get_by_text(name, exact=True).last.click()

    # forms

    def field(self, name: str) -> Locator:
        """What is filled in below a label."""
        return self._label(name).locator("xpath=following::fieldset[1]")

    def choose(self, name: str, choice: str) -> None:
        """Choose from a select."""
        self.field(name).get_by_role("button").press("Space")  # a click closes the first UI's at once
        self.page.get_by_role("option", name=choice, exact=True).click()

    def pick(self, name: str, day: dt.date) -> None:
        """Pick a date."""
        self._kind(name, "date")
        self.field(name).locator(".p-date-button__control").click()
        months = _months_from_today(day)
        for _ in range(abs(months)):
            self.page.locator(".p-calendar-header__arrow").nth(1 if months > 0 else 0).click()
        self.page.get_by_role("button", name=str(day.day), exact=True).first.click()
        self.page.get_by_role("button", name="Apply", exact=True).click()

    def list(self, name: str, *items: str) -> None:
        """Fill in a list."""
        self._kind(name, "list")
        for place, item in enumerate(items):
            self.field(name).get_by_role("button", name="Add item").click()
            self.field(name).get_by_role("textbox").nth(place).fill(item)

    def switch(self, name: str) -> None:
        """Turn a switch on."""
        self.field(name).get_by_role("switch").click(force=True)  # the first UI draws it over itself

    def submit(self) -> None:
        """Send the form."""
        self.page.get_by_role("button", name="Submit", exact=True).click()

    def resume(self) -> None:
        """Open the form of a run that waits for a person."""
        self.page.get_by_role("button", name="Resume", exact=True).click()
        self.field("Decision").wait_for()

    def cut(self) -> int:
        """The number of tables of which a part cannot be seen without scrolling sideways."""
        return sum(table.evaluate(IS_CUT) for table in self.page.locator("table").all())

    def answer(self, decision: str, name: str, reason: str) -> None:
        """Fill in the form of a run that waits, and send it."""
        self.choose("Decision", decision)
        self.field("Name").get_by_role("textbox").fill(name)
        self.field("Reason").get_by_role("textbox").fill(reason)
        self.page.get_by_role("button", name=self.send, exact=True).click()

    def _label(self, name: str) -> Locator:
        either = f"normalize-space(text())='{name} (Optional)' or normalize-space(text())='{name}'"
        return self.page.locator(f"xpath=//*[self::label or self::span][{either}]").last

    def _kind(self, name: str, kind: str) -> None:
        """Choose what a field is to hold, rather than nothing."""
        self._label(name).locator(f"xpath=following::button[normalize-space()='{kind}'][1]").click()


class Second(First):
    """The second UI."""

    prefix = "/v2"
    send = "Resume"

    def pick(self, name: str, day: dt.date) -> None:
        """Pick a date."""
        self._kind(name, "date")
        self.field(name).get_by_role("button", name="Pick a date").click()
        months = _months_from_today(day)
        for _ in range(abs(months)):
            self.page.get_by_role("button", name=f"{'Next' if months > 0 else 'Previous'} Month").click()
        self.page.get_by_role("button", name=re.compile(f"{day:%B} {day.day}[a-z]+, {day.year}")).click()
        self.page.keyboard.press("Escape")

    def resume(self) -> None:
        """Open the form of a run that waits for a person."""
        self.page.get_by_role("main").get_by_role("button", name="Open menu").click()
        self.page.get_by_role("menuitem", name="Resume").click()
        self.field("Decision").wait_for()


def _months_from_today(day: dt.date) -> int:
    today = dt.datetime.now().astimezone().date()
    return (day.year - today.year) * 12 + day.month - today.month
