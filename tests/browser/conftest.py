"""The site and the browser, for all tests of a process."""

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.pages import CHROMIUM, chromium
from tests.browser.site import Site


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser: {CHROMIUM} is missing (on Debian: apt-get install chromium)")
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def site(browser, tmp_path_factory):
    started = Site(tmp_path_factory.mktemp("site"))
    yield started
    started.stop()
