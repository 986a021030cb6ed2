"""Who is told of what, as automations of the Prefect server: `python -m deployments.automations`.

`automations` says which there are: one each for runs that failed, were refused, crashed, wait for an approval, and for
targets that are late; and one that turns a run without heartbeats Crashed, as a worker that died cannot. `channels`
reads from the environment how people are told, and keeps it in blocks; without any channel the automations stand in the
UI and tell nobody. `apply` makes the server agree: done again, it changes nothing but what differs.

What is posted to the webhook is JSON: kind, flow, run, state, message, url.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from apprise import Apprise
from prefect import get_client
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, CallWebhook, ChangeFlowRunState, DoNothing, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.types import SecretDict
from pydantic import SecretStr

from core.errors import ConfigurationError, EvenkeelError

WEBHOOK, MAIL = "EVENKEEL_WEBHOOK_URL", "EVENKEEL_MAIL_URL"
DEAD_AFTER = "EVENKEEL_DEAD_AFTER"  # seconds without a heartbeat; three times PREFECT_FLOWS_HEARTBEAT_FREQUENCY
PREFIX = "Evenkeel: "
FLOWS = ("daily-rebalance", "watchdog", "backfill", "housekeeping")
REFUSAL = "* portfolios refused (*"  # in the message of a run that refused some
RUNS = "prefect.flow-run.*"
LEAST = 10  # seconds: Prefect notices no shorter silence

SUBJECT = "Evenkeel, {kind}: {{{{ flow_run.name }}}}"
BODY = """\
{{{{ flow.name }}}} run {{{{ flow_run.name }}}} is {{{{ event.resource['prefect.state-name'] }}}}.

{{{{ event.resource['prefect.state-message'] }}}}

{{{{ flow_run | ui_url }}}}"""
PAYLOAD = """\
{{"kind": "{kind}", "flow": {{{{ flow.name | tojson }}}}, "run": {{{{ flow_run.name | tojson }}}},
"state": {{{{ event.resource['prefect.state-name'] | tojson }}}},
"message": {{{{ event.resource['prefect.state-message'] | tojson }}}}, "url": {{{{ flow_run | ui_url | tojson }}}}}}"""

Channels = Mapping[str, str]
"""The id of the block of each channel that is configured, by the name of its setting."""


def automations(channels: Channels, dead_after: timedelta) -> list[AutomationCore]:
    """All automations, by what they tell of."""
    return [
        *(
            AutomationCore(name=PREFIX + kind, description=why, trigger=trigger, actions=_told(kind, channels))
            for kind, why, trigger in _kinds()
        ),
        AutomationCore(
            name=PREFIX + "dead worker",
            description="A run whose heartbeats stop is turned Crashed: its worker died, and cannot say so.",
            trigger=_silence(dead_after),
            actions=[_crash(_silent(dead_after))],
        ),
    ]


def _kinds() -> Iterator[tuple[str, str, EventTrigger]]:
    """What people are told of: its name, why, and the event."""
    yield "refused", "A run refused portfolios; the message says why, and what to do.", _entered("Failed", REFUSAL)
    yield "failed", "A run failed otherwise.", _entered("Failed", f"!{REFUSAL}")
    yield "late", "A session has no targets by the time at which the watchdog looks.", _entered("Overdue")
    yield "waiting", "A run waits for an approval.", _entered("Suspended", also="Paused")
    yield "crashed", "The process of a run is gone. Run it again: that is always safe.", _entered("Crashed")


def _entered(state: str, message: str | None = None, also: str | None = None) -> EventTrigger:
    """A run of one of this project's flows enters a state, with a message like this."""
    like = {} if message is None else {"prefect.state-message": message}
    return EventTrigger(
        expect={f"prefect.flow-run.{name}" for name in (state, also) if name is not None},
        match=ResourceSpecification({"prefect.resource.id": RUNS, **like}),
        match_related=ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": [*FLOWS]}),
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
    )


def _silence(dead_after: timedelta) -> EventTrigger:
    """After a heartbeat, a run has neither another nor any other event: each state, whatever its name, is one."""
    return EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={RUNS},
        match=ResourceSpecification({"prefect.resource.id": RUNS}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=dead_after,
    )


def _silent(dead_after: timedelta) -> str:
    return (
        f"No heartbeat for {dead_after.total_seconds():g} s: the worker, or its machine, is gone. Nothing is half "
        "done: see that a worker polls the work pool, and run this again."
    )


def _crash(message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message, force=False)


def _told(kind: str, channels: Channels) -> list[ActionTypes]:
    """What is done to tell people; nothing, where no channel is configured."""
    actions: list[ActionTypes] = []
    if WEBHOOK in channels:
        actions.append(CallWebhook(block_document_id=UUID(channels[WEBHOOK]), payload=PAYLOAD.format(kind=kind)))
    if MAIL in channels:
        subject, body = SUBJECT.format(kind=kind), BODY.format()
        actions.append(SendNotification(block_document_id=UUID(channels[MAIL]), subject=subject, body=body))
    return actions or [DoNothing()]


# what the server knows


def channels() -> Channels:
    """Keep the configured addresses in blocks of the server, and return their ids.

    `EVENKEEL_WEBHOOK_URL`: http or https. `EVENKEEL_MAIL_URL`: an address as Apprise reads it, `mailto://` (plain) or
    `mailtos://` (TLS). Prefect's own block of any Apprise address is called Slack Webhook; its only block for mail goes
    through a company's service. Raises `ConfigurationError`, without the address, for one that cannot be read.
    """
    found: dict[str, str] = {}
    webhook, mail = os.environ.get(WEBHOOK), os.environ.get(MAIL)
    if webhook:
        _require(urlsplit(webhook).scheme in ("http", "https"), WEBHOOK, "https://host/path")
        block = Webhook(url=SecretStr(webhook), headers=SecretDict({"Content-Type": "application/json"}))
        found[WEBHOOK] = str(block.save("evenkeel-webhook", overwrite=True))
    if mail:
        _require(_is_mail(mail), MAIL, "mailtos://user:password@smtp.example?from=evenkeel@example&to=desk@example")
        found[MAIL] = str(SlackWebhook(url=SecretStr(mail)).save("evenkeel-mail", overwrite=True))
    return found


def _is_mail(address: str) -> bool:
    return address.startswith(("mailto://", "mailtos://")) and bool(Apprise().add(address))


def _require(right: bool, setting: str, example: str) -> None:
    if not right:
        raise ConfigurationError(f"{setting} is not an address that can be used: write it as {example}.")


def dead_after() -> timedelta:
    """`EVENKEEL_DEAD_AFTER` in seconds, 90 by default. Raises `ConfigurationError` for less than Prefect allows."""
    text = os.environ.get(DEAD_AFTER) or "90"
    if not text.isdecimal() or int(text) < LEAST:
        raise ConfigurationError(f"{DEAD_AFTER} is {text!r}: give it as whole seconds, {LEAST} at least.")
    return timedelta(seconds=int(text))


def apply(wanted: list[AutomationCore]) -> dict[str, str]:
    """Make the server's automations of this name these: what became of each, `created`, `updated` or `unchanged`."""
    with get_client(sync_client=True) as client:
        known = {found.name: found for found in client.read_automations() if found.name.startswith(PREFIX)}
        done = {automation.name: _applied(client, automation, known) for automation in wanted}
        for name in known.keys() - done.keys():
            client.delete_automation(known[name].id)
            done[name] = "removed"
    return done


def _applied(client: SyncPrefectClient, wanted: AutomationCore, known: Mapping[str, Automation]) -> str:
    if wanted.name not in known:
        client.create_automation(wanted)
        return "created"
    found = known[wanted.name]
    if _core(found) == _core(wanted):
        return "unchanged"
    enabled = wanted.model_copy(update={"enabled": found.enabled})  # who switched one off in the UI meant it
    said = enabled.model_dump(exclude={"owner_resource"})  # the server wants every key but this
    client.update_automation(found.id, AutomationCore.model_validate(said))
    return "updated"


def _core(automation: AutomationCore) -> dict[str, Any]:
    """What an automation says, apart from what the server adds and from whether it is switched on."""
    said = automation.model_dump(mode="json", include=set(AutomationCore.model_fields) - {"enabled"})
    said["trigger"] = {key: _sorted(part) for key, part in said["trigger"].items() if key != "id"}
    return said


def _sorted(part: Any) -> Any:
    return sorted(part, key=str) if isinstance(part, list) else part


def main() -> None:
    """Create or update all automations, and say which."""
    try:
        configured = channels()
        done = apply(automations(configured, dead_after()))
    except EvenkeelError as error:
        sys.exit(f"error: {error}")
    for name, outcome in done.items():
        print(f"{name:<24}{outcome}")
    silent = [setting for setting in (WEBHOOK, MAIL) if setting not in configured]
    if silent:
        print(f"Not set, so nobody is told this way: {', '.join(silent)} (docs/operations.md).")


if __name__ == "__main__":
    main()
