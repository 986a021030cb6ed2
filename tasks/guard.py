"""One run at a time: what a flow run keeps others off while it works, and how it goes on after an outage."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from core import store
from core.batch import Occasion
from core.errors import StoreError
from core.models import Inputs
from core.results.report import Outcome
from core.store import CurrentRun, Guard, guarded, is_outage
from tasks.retries import persistently
from tasks.settings import settings


class AtWork:
    """The portfolios that a flow run, or a shard of it, holds, and those that somebody else is doing, or did while it
    was reading: what it would decide from older inputs must not take the place of that."""

    def __init__(self, stack: ExitStack, occasion: Occasion, parts: Sequence[Inputs]) -> None:
        self._stack = stack
        self._occasion = occasion
        self._current = {name: part.current_runs.get(name) for part in parts for name in part.portfolio_ids}
        self._guard = self._taken([*self._current])
        self._overtaken = self._published_meanwhile()

    @property
    def busy(self) -> list[Outcome]:
        """What others are doing, or did while we were reading: who, and when."""
        sentences = {busy.portfolio_id: busy.sentence for busy in self._guard.busy} | self._overtaken
        return [Outcome(portfolio_id, "busy", sentence) for portfolio_id, sentence in sentences.items()]

    @property
    def left_behind(self) -> list[str]:
        """What somebody is doing who calls himself as we do: an earlier attempt, whose end is not noticed yet."""
        return [busy.portfolio_id for busy in self._guard.busy if busy.holder == self._occasion.holder]

    def own(self, parts: Sequence[Inputs]) -> list[Inputs]:
        """The parts of a batch without the portfolios that others are doing, or did."""
        ours = {*self._guard.held} - {*self._overtaken}
        own = [part.of([*{*part.portfolio_ids} & ours]) for part in parts]
        return [part for part in own if part.portfolio_ids]

    def require_held(self) -> None:
        """Make sure that all is held still; after an outage, which frees it, take it again.

        Raises `StoreError` where somebody else has begun to do it meanwhile, or has done it.
        """
        try:
            self._guard.require_held()
        except StoreError as error:
            if not is_outage(error):
                raise
            again = self._taken(self._guard.held)
            others = [busy.sentence for busy in again.busy]
            others += [told for name, told in self._published_meanwhile().items() if name not in self._overtaken]
            if others:
                told = " ".join(others)
                raise StoreError(f"the database was away, and meanwhile {told} Nothing more is published.") from None
            self._guard = again

    def _published_meanwhile(self) -> dict[str, str]:
        """Of what we hold, the portfolios of which others have made another run current since ours were read."""
        database = store.engine_from_url(settings().database_url)
        at, held = self._occasion, {*self._guard.held}
        return {
            told.portfolio_id: _overtaken(told)
            for told in persistently(lambda: store.current_runs(database, at.as_of, but_of=at.batch_id))
            if told.portfolio_id in held and told.run_id != self._current[told.portfolio_id]
        }

    def _taken(self, portfolio_ids: Sequence[str]) -> Guard:
        database = store.engine_from_url(settings().database_url)
        at = self._occasion
        return persistently(
            lambda: self._stack.enter_context(guarded(database, at.as_of, portfolio_ids, at.holder, at.started_at))
        )


@contextmanager
def one_at_a_time(occasion: Occasion, parts: Sequence[Inputs]) -> Iterator[AtWork]:
    """Hold the portfolios of a batch that are free, for as long as the block takes."""
    with ExitStack() as stack:
        yield AtWork(stack, occasion, parts)


def _overtaken(told: CurrentRun) -> str:
    return (
        f"portfolio {told.portfolio_id!r} was published by batch {told.batch_id} at {told.finished_at:%H:%M:%S} UTC "
        f"(run {told.run_id[:8]}), after this run had read its inputs. Run again if it should be decided anew."
    )
