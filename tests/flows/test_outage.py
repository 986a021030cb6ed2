"""A few of the outages and refusals that `python -m tests.soak.outage` tries at every point."""

import pytest

from tests.soak.driver import Point
from tests.soak.outage import DAY, REFUSALS, Outage, cases, faults_of_outage, faults_of_refusal

pytestmark = pytest.mark.usefixtures("prefect_server")

OUTAGES = (
    Outage(Point("half of the rows are copied", 6), mode="fast", until="after a while"),
    Outage(Point("before commit", 5), until="too late"),
    Outage(Point("after commit", 5), lost=True),
)
REFUSED = [
    refusal
    for refusal in REFUSALS
    if (refusal.name, refusal.kind, refusal.at)
    in {
        ("disk full", "sqlite", Point(f"half of {DAY}/portfolio_id=balanced/*.tmp is written", 1)),
        ("database full", "sqlite", None),
        ("no permission to write", "postgresql", None),
        ("a database from elsewhere", "postgresql", None),
    }
]


@pytest.fixture(scope="module")
def ready(tmp_path_factory, postgres_server, prefect_server):
    with cases(tmp_path_factory.mktemp("outage"), postgres_server) as found:
        yield found


@pytest.mark.parametrize("outage", OUTAGES, ids=str)
def test_a_run_through_an_outage_is_published_once_or_fails_clean(outage, ready, postgres_server):
    assert faults_of_outage(ready["postgresql"], outage, postgres_server) == []


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda refusal: f"{refusal.name}, {refusal.kind}")
def test_what_cannot_be_done_is_told_with_its_remedy(refusal, ready):
    assert faults_of_refusal(ready[refusal.kind], refusal) == []
