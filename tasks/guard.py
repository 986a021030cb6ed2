"""One run at a time: what a flow run keeps others off while it works, and how it goes on after an outage."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from core import store
from core.batch import Occasion
from core.errors import StoreError
from core.models import Inputs
from core.results.report import Outcome
from core.store import Guard, guarded, is_outage
from tasks.retries import persistently
from tasks.settings import settings


class AtWork:
    """The portfolios that a flow run, or a shard of it, holds, and those that somebody else is doing."""

    def __init__(self, stack: ExitStack, occasion: Occasion, portfolio_ids: Sequence[str]) -> None:
        self._stack = stack
        self._occasion = occasion
        self._guard = self._taken(portfolio_ids)

    @property
    def busy(self) -> list[Outcome]:
        """What others are doing: by whom, and since when."""
        return [Outcome(busy.portfolio_id, "busy", busy.sentence) for busy in self._guard.busy]

    @property
    def left_behind(self) -> list[str]:
        """What somebody is doing who calls himself as we do: an earlier attempt, whose end is not noticed yet."""
        return [busy.portfolio_id for busy in self._guard.busy if busy.holder == self._occasion.holder]

    def own(self, parts: Sequence[Inputs]) -> list[Inputs]:
        """The parts of a batch without the portfolios that others are doing."""
        own = [part.of([*{*part.portfolio_ids} & {*self._guard.held}]) for part in parts]
        return [part for part in own if part.portfolio_ids]

    def require_held(self) -> None:
        """Make sure that all is held still; after an outage, which frees it, take it again.

        Raises `StoreError` where somebody else has begun to do it meanwhile.
        """
        try:
            self._guard.require_held()
        except StoreError as error:
            if not is_outage(error):
                raise
            again = self._taken(self._guard.held)
            if again.busy:
                told = " ".join(busy.sentence for busy in again.busy)
                raise StoreError(f"the database was away, and meanwhile {told} Nothing more is published.") from None
            self._guard = again

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
        yield AtWork(stack, occasion, [name for part in parts for name in part.portfolio_ids])
