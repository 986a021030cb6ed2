"""Counts in words, for whatever is told to people."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 run`, `1,200 runs`; `many` where the plural does not just take an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
