"""What the automations say, before any server hears it; tests/deployments/test_serve.py shows them at work."""

import datetime as dt
from uuid import uuid4

import pytest

from core.errors import ConfigurationError
from deployments import automations as module
from deployments.automations import FLOWS, MAIL, PREFIX, WEBHOOK, automations, channels, dead_after
from flows.backfill import backfill
from flows.daily_rebalance import daily_rebalance
from flows.housekeeping import housekeeping
from flows.occasion import BatchRefusedError
from flows.watchdog import watchdog

NINETY = dt.timedelta(seconds=90)


def by_kind(known=None):
    return {each.name.removeprefix(PREFIX): each for each in automations(known or {}, NINETY)}


def test_there_is_one_for_each_thing_that_people_are_told_of():
    assert [*by_kind()] == ["refused", "failed", "late", "waiting", "crashed", "dead worker"]


def test_they_listen_to_the_flows_of_this_project():
    assert {flow.name for flow in (daily_rebalance, backfill, housekeeping, watchdog)} == set(FLOWS)


@pytest.mark.parametrize("count", [1, 12, 10_000])
def test_a_refusal_is_told_apart_from_another_failure_by_the_message_that_the_flow_writes(count, monkeypatch):
    from prefect.server.events.schemas.events import ResourceSpecification  # the server's, which is slow to import

    class Told:
        portfolio_id, reason = "core", "stale prices."

    class Report:
        refused = outcomes = (Told,) * count

    refusal, other = str(BatchRefusedError(Report)), "Flow run encountered an exception: ValueError: refused"
    matching = {kind: ResourceSpecification(by_kind()[kind].trigger.match.root) for kind in ("refused", "failed")}

    def kinds_of(message):
        resource = {"prefect.resource.id": "prefect.flow-run.1", "prefect.state-message": message}
        return [kind for kind, match in matching.items() if match.matches(resource)]

    assert kinds_of(refusal) == ["refused"]
    assert len(refusal) < 500  # it is the text of a mail
    assert kinds_of(other) == ["failed"]


def test_any_event_of_a_run_shows_that_it_lives_whatever_its_state_is_called():
    """An end as Skipped, Busy or Overdue is an end; a list of Prefect's own names would turn these runs Crashed."""
    trigger = by_kind()["dead worker"].trigger
    assert trigger.expect == {"prefect.flow-run.*"}
    assert trigger.after == {"prefect.flow-run.heartbeat"}
    assert trigger.within == NINETY


def test_without_a_channel_an_automation_tells_nobody_and_with_both_it_tells_twice():
    known = {WEBHOOK: str(uuid4()), MAIL: str(uuid4())}
    silent, loud = by_kind()["late"], by_kind(known)["late"]
    assert [action.type for action in silent.actions] == ["do-nothing"]
    assert [action.type for action in loud.actions] == ["call-webhook", "send-notification"]


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        (WEBHOOK, "hooks.example/secret"),
        (WEBHOOK, "ftp://hooks.example/secret"),
        (MAIL, "secret@desk.example"),
        (MAIL, "https://desk.example/secret"),
        (MAIL, "mailto://"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_shown(setting, address, monkeypatch):
    monkeypatch.setattr(module.Webhook, "save", lambda *_, **__: pytest.fail("saved"))
    monkeypatch.setattr(module.SlackWebhook, "save", lambda *_, **__: pytest.fail("saved"))
    monkeypatch.delenv(WEBHOOK, raising=False)
    monkeypatch.delenv(MAIL, raising=False)
    monkeypatch.setenv(setting, address)
    with pytest.raises(ConfigurationError, match=f"{setting} is not an address") as refused:
        channels()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["9", "1.5", "soon", "-30"])
def test_a_silence_that_prefect_cannot_notice_is_refused(text, monkeypatch):
    monkeypatch.setenv("EVENKEEL_DEAD_AFTER", text)
    with pytest.raises(ConfigurationError, match="10 at least"):
        dead_after()


def test_the_usual_silence_is_three_heartbeats_of_the_worker_unit(monkeypatch):
    monkeypatch.delenv("EVENKEEL_DEAD_AFTER", raising=False)
    assert dead_after() == NINETY
