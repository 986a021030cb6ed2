"""Water-filling by hand: exact fractions, book by book, capping name after name; shares no code with the project."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

Size = Fraction
DUST = Fraction(1e-9)


def scale(sizes: Sequence[Size], ceilings: Sequence[Size | None], total: Size) -> Size | None:
    """The s with Σ min(ceiling, s·size) = total; None where even full ceilings cannot hold it."""
    full: set[int] = set()
    while len(full) < len(sizes):
        free = [at for at in range(len(sizes)) if at not in full]
        placed = sum((ceilings[at] for at in full), Fraction(0))
        s = (total - placed) / sum(sizes[at] for at in free)
        above = {at for at in free if ceilings[at] is not None and s * sizes[at] > ceilings[at]}
        if not above:
            return s
        full |= above
    return None


def lowest(*limits: Size | None) -> Size | None:
    return min((limit for limit in limits if limit is not None), default=None)


def two_level(
    weights: Sequence[float | None],
    buckets: Sequence[str],
    frozen: Sequence[bool | None],
    cap: float | None,
    limits: float | Mapping[str, float],
) -> list[float | None]:
    """Fill each book of one group under a cap and bucket limits; frozen names and dust stay."""
    exact = [Fraction(weight or 0) for weight in weights]
    moves = [abs(w) > DUST and not stays for w, stays in zip(exact, frozen, strict=True)]
    position = None if cap is None else Fraction(cap)
    ceilings: list[Size | None] = [position] * len(exact)
    for bucket in set(buckets):
        limit = limits.get(bucket) if isinstance(limits, Mapping) else limits
        members = [at for at in range(len(exact)) if buckets[at] == bucket]
        names = [at for at in members if moves[at]]
        if limit is None or not names:
            continue
        room = max(Fraction(0), Fraction(limit) - sum(abs(exact[at]) for at in members if not moves[at]))
        sizes = [abs(exact[at]) for at in names]
        s = scale(sizes, [position] * len(sizes), room)
        if s is not None and sum(sizes) <= room + Fraction(1e-12):
            s = max(s, Fraction(1))
        for at in names if s is not None else []:
            ceilings[at] = lowest(position, s * abs(exact[at]))
    filled: list[float | None] = list(weights)
    for side in (1, -1):
        book = [at for at in range(len(exact)) if moves[at] and side * exact[at] > 0]
        sizes = [abs(exact[at]) for at in book]
        s = scale(sizes, [ceilings[at] for at in book], sum(sizes, Fraction(0)))
        for at, size in zip(book, sizes, strict=True):
            placed = ceilings[at] if s is None else lowest(ceilings[at], s * size)
            filled[at] = float(side * placed)
    return filled
