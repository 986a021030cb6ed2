"""Tables as files and frames, and what may be wrong with those as such: `written`, `damaged`, `recast`."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from tests.soak.corruptions import Damage
from tests.soak.hostile_checks import frame_of
from tests.soak.hostile_market import Row, Tables

TYPES: tuple[Any, ...] = (
    *(pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Decimal(38, 4), pl.String, pl.Binary, pl.Categorical, pl.Boolean),
    *(pl.Date, pl.Datetime("us"), pl.Datetime("ns", "Asia/Tokyo"), pl.Duration("us"), pl.Time, pl.Null, pl.Object),
    *(pl.List(pl.Float64), pl.Struct({"a": pl.Float64}), pl.Array(pl.Float64, 1)),
)


def written(tables: Tables, folder: Path, draw: Random) -> None:
    """Every table as CSV, or as Parquet where it can be."""
    for name, rows in tables.items():
        frame = frame_of(rows)
        if draw.random() < 0.5 and pl.Object not in frame.dtypes:
            frame.write_parquet(folder / f"{name}.parquet")
        else:
            (folder / f"{name}.csv").write_text(csv_of(rows), encoding="utf-8", newline="")


def csv_of(rows: list[Row], **layout: Any) -> str:
    """Rows as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, **layout)
    if rows:
        writer.writerow(rows[0])
    writer.writerows([_text(cell) for cell in row.values()] for row in rows)
    return text.getvalue()


def _text(cell: object) -> str:
    if isinstance(cell, bytes):
        return cell.decode("latin-1")
    return "" if cell is None else str(cell)


def recast(frame: pl.DataFrame, draw: Random) -> tuple[pl.DataFrame, str]:
    """One column in another type, as far as its cells can be."""
    if not frame.columns:
        return frame, "no column is another type"
    column, dtype = draw.choice(frame.columns), draw.choice(TYPES)
    cells = frame[column]
    if dtype == pl.Object:
        odd = pl.Series(column, cells.to_list(), dtype=pl.Object)
    elif cells.dtype == pl.Object:
        odd = pl.repeat(None, len(cells), dtype=dtype, eager=True).alias(column)
    else:
        odd = _cast(cells, dtype)
    return frame.with_columns(odd), f"{column} is {dtype}"


def _cast(cells: pl.Series, dtype: Any) -> pl.Series:
    try:
        return cells.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return pl.repeat(None, len(cells), dtype=dtype, eager=True).alias(cells.name)


def damaged(folder: Path, draw: Random) -> Damage:
    """Damage one file of a folder."""
    file = draw.choice(sorted(folder.iterdir()))
    kind = draw.choice(("truncated", "bits", "layout"))
    content = file.read_bytes()
    if kind == "truncated":
        size = draw.randrange(len(content))
        told = f"to {size} bytes"
        file.write_bytes(content[:size])
    elif kind == "bits":
        bits = draw.choice((1, 1, 3, 40))
        told = f"{bits} flipped"
        file.write_bytes(_flipped(content, bits, draw))
    elif file.suffix == ".csv":
        told = draw.choice(sorted(LAYOUTS))
        file.write_bytes(LAYOUTS[told](content.decode()))
    else:
        told = draw.choice(("text", "magic", "empty", "nested"))
        _write_odd_parquet(file, told)
    return Damage(kind, file.stem, "", f"{file.name}: {kind} {told}")


def _flipped(content: bytes, bits: int, draw: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(bits):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _write_odd_parquet(file: Path, kind: str) -> None:
    if kind == "nested":
        frame = pl.read_parquet(file)
        frame.select(pl.struct(pl.all()).alias(frame.columns[0])).write_parquet(file)
    else:
        file.write_bytes({"text": b"a,b\n1,2\n", "magic": b"PAR1PAR1", "empty": b""}[kind])


LAYOUTS: dict[str, Callable[[str], bytes]] = {
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "Latin-1": lambda text: text.replace("a", "é").encode("latin-1"),
    "BOM": lambda text: text.encode("utf-8-sig"),
    "two BOMs": lambda text: b"\xef\xbb\xbf" + text.encode("utf-8-sig"),
    "open quote": lambda text: text.replace(",", ',"', 3).encode(),
    "quotes inside": lambda text: text.replace(",", '"",', 4).encode(),
    "all quoted": lambda text: "\n".join(
        ",".join(f'"{c}"' for c in line.split(",")) for line in text.split("\r\n")
    ).encode(),
    "apostrophes": lambda text: text.replace(",", "','").encode(),
    "carriage returns": lambda text: text.replace("\r\n", "\r").encode(),
    "blank lines": lambda text: text.replace("\r\n", "\r\n\r\n").encode(),
    "spaces": lambda text: text.replace(",", ", ").encode(),
    "NUL": lambda text: text.replace(",", ",\x00", 2).encode(),
    "header only": lambda text: text.split("\r\n")[0].encode(),
    "header twice": lambda text: (text.split("\r\n")[0] + "\r\n" + text).encode(),
    "no header": lambda text: "\r\n".join(text.split("\r\n")[1:]).encode(),
    "short line": lambda text: (text.rstrip() + "\r\nACME").encode(),
    "long line": lambda text: text.replace("\r\n", ",more\r\n").encode(),
    "comment": lambda text: ("# made by hand\r\n" + text).encode(),
    "thousands": lambda text: text.replace("60000.0", '"60,000.0"').encode(),
    "end mark": lambda text: (text + "\x1a").encode(),
    "lone quote at the end": lambda text: (text + '"').encode(),
}
"""What may be wrong with the text of a CSV file."""
