"""Both UIs of a real server in a real browser: start a run by its form, look at it, and answer one that asks.

All of it is one test, as all of it is one server.
"""

import re

import pytest
from playwright.sync_api import expect

from core import store
from tests.browser.pages import First, Second
from tests.browser.site import DAY

SIZE = (1280, 1300)
DECISIONS = {
    "First": ("balanced", "reject", "FAILED", "refused"),
    "Second": ("concentrated", "approve", "COMPLETED", "published"),
}
"""What is asked about in a UI, what the person says, and how the run and the portfolio end."""


@pytest.fixture
def uis(browser, site):
    opened = {each.__name__: each(browser, site.address, size=SIZE) for each in (First, Second)}
    yield opened
    for ui in opened.values():
        ui.page.close()


@pytest.mark.end_to_end
def test_a_day_at_the_desk(site, uis, subtests):
    published = site.run(as_of=str(DAY))
    refused = site.run("FAILED", as_of=str(DAY), policy="strict", portfolios=["balanced"])
    for name, ui in uis.items():
        with subtests.test("a run is started by the form", ui=name):
            the_form_starts_a_run(site, ui)
        with subtests.test("a bad value is refused before a run starts", ui=name):
            a_bad_value_starts_no_run(site, ui)
        with subtests.test("the page of a run names its date, policy and portfolios", ui=name):
            ui.open(f"/runs/flow-run/{published['id']}")
            expect(ui.page.get_by_text(f"{DAY} conservative: balanced, concentrated, newcomer").first).to_be_visible()
        with subtests.test("the summary shows a picture of each portfolio", ui=name):
            the_summary_has_pictures(site, ui, published["id"])
        with subtests.test("a refusal tells reason and remedy at the top", ui=name):
            the_refusal_comes_first(site, ui, refused["id"])
        with subtests.test("a person decides", ui=name):
            a_person_decides(site, ui, *DECISIONS[name])


def the_form_starts_a_run(site, ui):
    known = site.known()
    ui.open(site.form)
    ui.choose("policy", "aggressive")
    ui.pick("as_of", DAY)
    ui.list("portfolios", "balanced", "newcomer")
    ui.switch("dry_run")
    ui.submit()
    run = site.ended(site.new_run(known))
    asked = {name: run["parameters"][name] for name in ("policy", "as_of", "portfolios", "dry_run", "fresh")}
    assert asked == {
        "policy": "aggressive",
        "as_of": str(DAY),
        "portfolios": ["balanced", "newcomer"],
        "dry_run": True,
        "fresh": False,
    }
    assert run["name"] == f"{DAY} aggressive: balanced, newcomer"
    assert {str(DAY), "aggressive", "dry-run"} <= {*run["tags"]}


def a_bad_value_starts_no_run(site, ui):
    known = site.known()
    ui.open(site.form)
    ui.list("portfolios", "balanced", "balanced")
    ui.submit()
    expect(ui.page.get_by_text(re.compile("non-unique|not valid under any")).first).to_be_visible()
    assert site.known() == known


def the_summary_has_pictures(site, ui, flow_run_id):
    ui.open(f"/artifacts/artifact/{site.artifact(flow_run_id, 'rebalance-summary')}")
    pictures = ui.page.locator("img[src^='data:image/svg']")
    expect(pictures).to_have_count(3)
    assert all(picture.evaluate("picture => picture.naturalWidth") > 600 for picture in pictures.all())


def the_refusal_comes_first(site, ui, flow_run_id):
    ui.open(f"/artifacts/artifact/{site.artifact(flow_run_id, 'rebalance-summary')}")
    expect(ui.page.get_by_role("heading", level=2).first).to_have_text("Refused")
    expect(ui.page.get_by_text("raise max position to 9 %").first).to_be_visible()
    assert "refused" in site.flow_run(flow_run_id)["tags"]


def a_person_decides(site, ui, portfolio_id, decision, state, status):
    waiting = site.run("PAUSED", as_of=str(DAY), policy="asking", portfolios=[portfolio_id])
    ui.open(f"/runs/flow-run/{waiting['id']}")
    ui.resume()
    assert ui.cut() == 0
    ui.answer(decision, "Ada", "I looked at it")
    site.ended(waiting["id"], state)
    run = store.read_runs(site.database, DAY, portfolio_id).filter(policy_name="asking").row(-1, named=True)
    assert run["status"] == status
    assert decision != "reject" or "Ada: I looked at it" in run["reason"]
