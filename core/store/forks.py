"""Descriptors that die with the process that opened them, whatever it forked.

A lock that is held by an open file or socket outlives its owner in a child that inherited the descriptor. Programs that
are started (exec) inherit none of Python's; a child that is only forked has /dev/null in their place (`_let_go`).
"""

import os

_own: set[int] = set()


def keep_from_children(descriptor: int) -> None:
    """From now on, a forked child does not get this descriptor."""
    _own.add(descriptor)


def give_up(descriptor: int) -> None:
    """Forget a descriptor that is about to be closed: its number may come to mean something else."""
    _own.discard(descriptor)


def _let_go() -> None:
    if not _own:
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in _own:  # replaced, not closed: what the parent left in memory still uses the number
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    _own.clear()


os.register_at_fork(after_in_child=_let_go)
