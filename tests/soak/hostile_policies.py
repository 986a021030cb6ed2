"""Policies that are wrong: in a key, in a value, or as a text. `corrupted` writes one and reads it as a run does."""

import datetime as dt
from pathlib import Path
from random import Random
from typing import Any

import yaml

from core.policy import Policy
from core.policy_file import load_policy
from tests.soak.corruptions import INJECTIONS, ODD_TEXTS, Damage

FULL = """
name: full
description: everything that a policy may say
time_zone: America/New_York
source: {candidates_from: candidates, queries: {cash: "SELECT * FROM cash WHERE as_of = :as_of"}}
data_gate: {max_price_age_days: 5, max_jump: 0.4, max_leverage: 10.0, prices_known: by_morning}
scoring:
  signals:
    - {kind: table, name: technical, weight: 0.6, normaliser: rank}
    - {kind: momentum, name: momentum, weight: 0.2, lookback: 3, skip: 0}
    - {kind: query, name: mood, weight: 0.2,
      sql: "SELECT as_of, symbol, value FROM signals WHERE signal = 'fundamental'"}
limits: {max_total_positions: 8, max_new_positions: 4, initial_new_positions: 8, min_score_threshold: 0.3,
  min_score_new_position: 0.5, max_single_position_pct: 0.2, target_total_allocation: 0.9,
  enable_bucket_diversification: true, max_positions_per_bucket: 3, max_allocation_per_bucket: 0.35,
  min_buckets_represented: 2, allow_bucket_overflow: false, min_position_weight: 0.001, total_is_hard: false,
  max_gross_exposure: 1.0}
sizing: {kind: score_weighted}
constraints:
  - {kind: long_only}
  - {kind: max_position, max_weight: 0.18, redistribute: true}
  - {kind: max_bucket_weight, max_weight: {Energy: 0.3, Utilities: 0.3}}
  - {kind: turnover, max_turnover: 0.9}
  - {kind: net_exposure, minimum: 0.0, maximum: 0.95}
  - {kind: name_limits, names: {ACME: {minimum: 0.0, maximum: 0.1}}}
"""
ODD_SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, -0.0, 0.5, 95, 1e308, 5e-324, 2**63, 10**400, -(10**400)),
    *(float("nan"), float("inf"), float("-inf"), "0.2", "20%", "1e-3", [], {}, [[]], {"a": 1}, [None], [1, 2], b"\xff"),
    *(dt.date(2026, 11, 20), *ODD_TEXTS, *INJECTIONS, "SELECT", "SELECT 1; DROP TABLE cash"),
    *("DELETE FROM cash RETURNING *", "SELECT :since, :nobody", "SELECT 1 AS as_of, 2 AS symbol, 3 AS value", "-- x"),
    *("lookback", "table", "long_only", "America/New York", "../../etc/passwd", "os:system", "UTC"),
)
TEXTS = {
    "empty": b"",
    "a list": b"[1, 2]",
    "a text": b"name",
    "not UTF-8": b"name: caf\xe9\n",
    "UTF-16": "name: full\n".encode("utf-16"),
    "BOM": b"\xef\xbb\xbfname: full\n",
    "NUL": b"name: a\x00b\n",
    "NUL escaped": b'name: "a\\0b"\n',
    "a lone surrogate": b'name: "a\\uD800b"\n',
    "tabs": b"name:\tfull\nlimits:\n\tmax_total_positions: 3\n",
    "an anchor in itself": b"name: full\nlimits: &a {max_total_positions: *a}\n",
    "a list in itself": b"name: full\nconstraints: &a [*a]\n",
    "laughter": b"name: full\na: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c]\n" % (n + 1, n + 1, n, n, n, n, n, n) for n in range(97, 109)),
    "a tag": b"name: !!python/object/apply:os.system [ls]\n",
    "an unknown tag": b"name: !secret full\n",
    "a key that is a list": b"name: full\n? [a, b]\n: 1\n",
    "a key that is a mapping": b"name: full\n? {a: b}\n: 1\n",
    "a key that is null": b"name: full\nnull: 1\n",
    "a key that is a number": b"name: full\n1: 1\n",
    "a key that is a date": b"name: full\n2026-11-20: 1\n",
    "an impossible date": b"name: full\ndescription: 2026-13-45\n",
    "an impossible time": b"name: full\ndescription: 2026-11-20 99:99:99\n",
    "sexagesimal": b"name: full\nlimits: {max_total_positions: 1:30}\n",
    "octal": b"name: full\nlimits: {max_total_positions: 0o12, max_new_positions: 012}\n",
    "a bad number": b"name: full\nlimits: {max_total_positions: 0x}\n",
    "a merge": b"name: full\nlimits: {<<: {max_total_positions: 3}, max_total_positions: 4}\n",
    "a bad merge": b"name: full\nlimits: {<<: 3}\n",
    "twice": b"name: full\nname: full\n",
    "two documents": b"name: full\n---\nname: other\n",
    "open": b"name: {full\n",
    "depth": b"name: " + b"[" * 5_000,
    "a directive": b"%YAML 9.9\n---\nname: full\n",
    "binary": b"name: !!binary ====\n",
    "binary text": b"name: !!binary aGVsbG8=\n",
    "a set": b"name: !!set {a, b}\n",
    "an ordered map": b"name: !!omap [a]\n",
    "a float of its own": b"name: full\nlimits: {max_single_position_pct: !!float x}\n",
    "an integer of its own": b"name: full\nlimits: {max_total_positions: !!int x}\n",
    "a boolean of its own": b"name: full\nlimits: {enable_bucket_diversification: !!bool maybe}\n",
    "a timestamp of its own": b"name: !!timestamp x\n",
    "a big integer": b"name: full\nlimits: {max_total_positions: " + b"9" * 5_000 + b"}\n",
}


def corrupted(folder: Path, draw: Random, notes: list[Damage]) -> Policy:
    """A corrupted policy, written to a file and read from it; `notes` are told before what was done."""
    content = yaml.safe_load(FULL)
    do = draw.choice((_value, _value, _value, _key, _missing, _added, _scribble, _text))
    told, written = do(content, draw)
    notes.append(Damage(f"policy {do.__name__.strip('_')}", "policy", "", told))
    file = folder / "policy.yaml"
    file.write_bytes(written)
    try:
        return load_policy(file)
    finally:
        file.unlink()


def _value(content: Any, draw: Random) -> tuple[str, bytes]:
    holder, key = draw.choice(list(_places(content)))
    holder[key] = odd = draw.choice(ODD_SCALARS)
    return f"{key} is {odd!r:.100}", _dumped(content)


def _key(content: Any, draw: Random) -> tuple[str, bytes]:
    holder, key = draw.choice([place for place in _places(content) if isinstance(place[0], dict)])
    odd: Any = draw.choice(("Name", f" {key}", f"{key}s", str(key).upper(), *ODD_TEXTS, None, 1, True, 1.5))
    holder[odd] = holder.pop(key)
    return f"{key} is called {odd!r:.100}", _dumped(content)


def _missing(content: Any, draw: Random) -> tuple[str, bytes]:
    holder, key = draw.choice(list(_places(content)))
    del holder[key]
    return f"{key} is missing", _dumped(content)


def _added(content: Any, draw: Random) -> tuple[str, bytes]:
    constraints: tuple[Any, ...] = (
        {"kind": "max_bucket_weight", "max_weight": draw.choice(ODD_SCALARS)},
        {"kind": "max_bucket_weight", "max_weight": {draw.choice(ODD_TEXTS): 0.3}},
        {"kind": "min_bucket_weight", "min_weight": {"Energy": draw.choice(ODD_SCALARS)}},
        {"kind": "frozen_names", "names": [draw.choice(ODD_TEXTS)]},
        {"kind": "frozen_names", "symbols": [draw.choice(ODD_SCALARS)]},
        {"kind": "name_limits", "names": {draw.choice(ODD_TEXTS): {"minimum": draw.choice(ODD_SCALARS)}}},
        {"kind": "market_neutral"},
        {"kind": "turnover", "max_turnover": 0.1, "mode": "soft", "priority": draw.choice(ODD_SCALARS)},
        {
            "kind": "turnover",
            "max_turnover": 0.1,
            "mode": "soft",
            "priority": 1,
            "max_relaxation": draw.choice(ODD_SCALARS),
        },
        {"kind": "max_positions", "max_positions": draw.choice(ODD_SCALARS), "per_bucket": draw.choice(ODD_SCALARS)},
        {"kind": "min_position_weight", "min_weight": draw.choice(ODD_SCALARS)},
        {"kind": "min_gross_exposure", "min_exposure": draw.choice(ODD_SCALARS)},
        {"kind": draw.choice(ODD_TEXTS)},
        draw.choice(ODD_SCALARS),
    )
    odd = draw.choice(constraints)
    content["constraints"].append(odd)
    return f"the constraint {odd!r:.150}", _dumped(content)


def _scribble(content: Any, draw: Random) -> tuple[str, bytes]:
    written = bytearray(_dumped(content))
    place = draw.randrange(len(written))
    match draw.choice(("cut", "byte", "insert")):
        case "cut":
            return f"cut at {place}", bytes(written[:place])
        case "byte":
            written[place] ^= 1 << draw.randrange(8)
        case _:
            written[place:place] = draw.choice((b"\x00", b"\xff", b":", b"- ", b"&a ", b"*a", b"\t", b"'", b"{", b"\n"))
    return f"scribbled at {place}", bytes(written)


def _text(content: Any, draw: Random) -> tuple[str, bytes]:
    del content
    name = draw.choice(sorted(TEXTS))
    return name, TEXTS[name]


def _dumped(content: Any) -> bytes:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode()


def _places(node: Any) -> Any:
    """Every (holder, key) of a document, at any depth."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in list(pairs):
        yield node, key
        yield from _places(inner)
