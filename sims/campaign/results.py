"""The results of a campaign in a folder: rows as they come, and a summary.

`rows.csv` begins with a line that carries its schema, the hash of the scenario and the version of
the program, then has one line for each job. A line is on the disk before the next is begun; what a
lost power tore is left out and done again. `campaign.json` says what the rows stand for.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from sims.campaign.grid import Campaign, Job, jobs_of, program_version
from sims.campaign.job import Figures, Row
from sims.campaign.parameters import (
    PARAMETERS,
    CampaignError,
    parameters_of,
    text_of,
    value_of_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FIGURES",
    "CampaignResults",
    "RowFile",
    "digest_of",
    "open_rows",
    "read_results",
]

ROWS_NAME: Final = "rows.csv"
SUMMARY_NAME: Final = "campaign.json"
SCHEMA: Final = 1
FIGURES: Final = tuple(field.name for field in fields(Figures))
"""Names of the figures of a row, in the order of the columns."""
COLUMNS: Final = ("identity", "seed", *PARAMETERS, *FIGURES, "error")
_MARK: Final = "# meshnode-campaign"
_WHOLE_FIGURES: Final = frozenset(f.name for f in fields(Figures) if f.type == "int")
_TIMED: Final = "cpu_seconds"
"""The one figure that two runs of a job do not share."""


@dataclass(frozen=True, slots=True)
class CampaignResults:
    """What is known of a campaign."""

    name: str
    """Of the campaign."""
    about: str
    """What it is to show."""
    scenario: str
    """Name of the scenario."""
    scenario_hash: str
    """SHA-256 of the scenario's content, hexadecimal."""
    version: str
    """Of the program that did the jobs."""
    jobs: int
    """How many there are in all."""
    rows: tuple[Row, ...]
    """Of the jobs that were done, in the order of the file; the failed ones among them."""

    @property
    def failed(self) -> int:
        """How many jobs failed."""
        return sum(row.figures is None for row in self.rows)

    @property
    def is_complete(self) -> bool:
        """Whether every job has its row."""
        return len(self.rows) == self.jobs

    @property
    def digest(self) -> str | None:
        """SHA-256 over all rows without CPU times; None while jobs are missing."""
        return digest_of(self.rows) if self.is_complete else None


def digest_of(rows: Iterable[Row]) -> str:
    """Return the SHA-256 over rows in the order of their identity, CPU times left out.

    The same campaign gives the same digest, however many workers did it and in whatever order.
    """
    digest = hashlib.sha256()
    skipped = COLUMNS.index(_TIMED)
    for row in sorted(rows, key=lambda each: each.identity):
        words = _words(row)
        digest.update(_line(words[:skipped] + words[skipped + 1 :]).encode())
    return digest.hexdigest()


def read_results(folder: Path) -> CampaignResults:
    """Return what a folder holds of a campaign, be it complete or not.

    Raises: CampaignError that names the file and the line.
    """
    summary = _read_summary(folder / SUMMARY_NAME)
    head = (str(summary["scenario_hash"]), str(summary["version"]))
    rows, _ = _read_rows(folder / ROWS_NAME, head)
    return CampaignResults(
        name=str(summary["name"]),
        about=str(summary["about"]),
        scenario=str(summary["scenario"]),
        scenario_hash=head[0],
        version=head[1],
        jobs=int(str(summary["jobs"])),
        rows=tuple(rows.values()),
    )


# --- writing ---------------------------------------------------------------------------------


class RowFile:
    """The rows of one campaign, open to be added to."""

    def __init__(self, folder: Path, campaign: Campaign, file: IO[bytes]) -> None:
        self._folder = folder
        self._campaign = campaign
        self._file = file
        self._jobs = jobs_of(campaign)
        self._rows: dict[str, Row] = {}

    @property
    def missing(self) -> list[Job]:
        """Jobs without a row, and those that failed before."""
        done = {row.identity for row in self._rows.values() if row.figures is not None}
        return [job for job in self._jobs if job.identity not in done]

    def resume(self) -> None:
        """Take the rows that are there, and make the file ready for more. Raises: CampaignError."""
        path = self._folder / ROWS_NAME
        head = (self._campaign.source.scenario_hash, program_version())
        self._file.seek(0, os.SEEK_END)
        if self._file.tell():
            self._rows, sound_bytes = _read_rows(path, head)
            self._file.truncate(sound_bytes)
            self._file.seek(0, os.SEEK_END)
        if not self._file.tell():
            self._write(_head(*head) + _line(COLUMNS))
        known = {job.identity for job in self._jobs}
        if strange := [row for row in self._rows.values() if row.identity not in known]:
            raise CampaignError(
                str(path),
                f"holds {len(strange)} jobs that the campaign does not have: take another folder",
            )
        self.write_summary()

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; they are on the disk when this returns."""
        rows = list(rows)
        self._write("".join(_line(_words(row)) for row in rows))
        self._rows.update((row.identity, row) for row in rows)

    def results(self) -> CampaignResults:
        """Return what there is, in the order of the grid."""
        campaign = self._campaign
        rows = (self._rows.get(job.identity) for job in self._jobs)
        return CampaignResults(
            name=campaign.name,
            about=campaign.about,
            scenario=campaign.source.name,
            scenario_hash=campaign.source.scenario_hash,
            version=program_version(),
            jobs=len(self._jobs),
            rows=tuple(row for row in rows if row is not None),
        )

    def finish(self) -> None:
        """Put the rows into the order of the grid, each once, and write the summary."""
        results = self.results()
        head = _head(results.scenario_hash, results.version) + _line(COLUMNS)
        text = head + "".join(_line(_words(row)) for row in results.rows)
        _replace(self._folder / ROWS_NAME, text)
        self.write_summary()

    def write_summary(self) -> None:
        """Write `campaign.json`. Cost: O(rows) once the campaign is complete."""
        results = self.results()
        summary = {
            "schema": SCHEMA,
            "name": results.name,
            "about": results.about,
            "scenario": results.scenario,
            "scenario_hash": results.scenario_hash,
            "version": results.version,
            "seeds": list(self._campaign.seeds),
            "grid": {
                name: [text_of(value) for value in values] for name, values in self._campaign.grid
            },
            "jobs": results.jobs,
            "done": len(results.rows),
            "failed": results.failed,
            "digest": results.digest,
        }
        _replace(self._folder / SUMMARY_NAME, json.dumps(summary, indent=2, ensure_ascii=False))

    def _write(self, text: str) -> None:
        try:
            self._file.write(text.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            place = str(self._folder / ROWS_NAME)
            raise CampaignError(place, f"cannot be written: {error.strerror}") from error


@contextmanager
def open_rows(folder: Path, campaign: Campaign) -> Iterator[RowFile]:
    """Give the rows of `campaign` in `folder`, which is made and held alone until the block ends.

    Raises: CampaignError if the folder is in use, or holds another campaign.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("ab")
        file = (folder / ROWS_NAME).open("ab")
    except OSError as error:
        raise CampaignError(str(folder), f"cannot be used: {error.strerror}") from error
    with lock, file:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            reason = "another campaign is writing there: wait for it, or take another folder"
            raise CampaignError(str(folder), reason) from error
        rows = RowFile(folder, campaign, file)
        rows.resume()
        yield rows


def _replace(path: Path, text: str) -> None:
    """Write a whole file: there is the old one or the new one, whatever happens."""
    beside = path.with_suffix(".new")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise CampaignError(str(path), f"cannot be written: {error.strerror}") from error


def _head(scenario_hash: str, program: str) -> str:
    return f"{_MARK} schema={SCHEMA} scenario={scenario_hash} version={program}\n"


def _line(words: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(words)
    return buffer.getvalue()


def _words(row: Row) -> list[str]:
    figures = [""] * len(FIGURES)
    if row.figures is not None:
        # The shortest text that reads back as the same number.
        figures = [str(getattr(row.figures, name)) for name in FIGURES]
    return [row.identity, str(row.seed), *row.parameters.texts(), *figures, row.error]


# --- reading ---------------------------------------------------------------------------------


def _read_summary(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise CampaignError(str(path), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CampaignError(str(path), "is not JSON") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise CampaignError(str(path), f"is not the summary of a campaign of schema {SCHEMA}")
    names = ("name", "about", "scenario", "scenario_hash", "version", "jobs")
    if lacking := [name for name in names if name not in found]:
        raise CampaignError(str(path), f"has no '{lacking[0]}'")
    return found


def _read_rows(path: Path, head: tuple[str, str]) -> tuple[dict[str, Row], int]:
    """Return the rows by identity, the latest of each job, and the length of what is sound."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CampaignError(str(path), f"cannot be read: {error.strerror}") from error
    lines = raw.splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    if len(lines) < 2 and (_head(*head) + _line(COLUMNS)).encode().startswith(raw):
        return {}, 0
    _check_head(path, lines, head)
    rows: dict[str, Row] = {}
    sound_bytes = sum(map(len, lines[:2]))
    for number, line in enumerate(lines[2:], start=3):
        try:
            row = _row(line, f"{path} line {number}")
        except CampaignError:
            if number < len(lines):
                raise
            # The last line was being written when the power went: its job is done again.
            break
        rows[row.identity] = row
        sound_bytes += len(line)
    return rows, sound_bytes


def _check_head(path: Path, lines: list[bytes], head: tuple[str, str]) -> None:
    """Refuse the rows of another scenario, version or schema."""
    if not lines or not lines[0].startswith(_MARK.encode()):
        raise CampaignError(f"{path} line 1", "is not the head of a campaign's results")
    if lines[0] != _head(*head).encode():
        raise CampaignError(
            f"{path} line 1",
            "holds results of another scenario or version of the program: take another folder",
        )
    if len(lines) < 2 or lines[1] != _line(COLUMNS).encode():
        raise CampaignError(f"{path} line 2", f"has other columns than schema {SCHEMA}")


def _row(line: bytes, place: str) -> Row:
    try:
        words = next(csv.reader([line.decode()]))
    except (UnicodeDecodeError, csv.Error, StopIteration) as error:
        raise CampaignError(place, "is not a line of CSV") from error
    if len(words) != len(COLUMNS):
        raise CampaignError(place, f"has {len(words)} columns instead of {len(COLUMNS)}")
    named = dict(zip(COLUMNS, words, strict=True))
    values = {name: value_of_text(name, named[name], place) for name in PARAMETERS}
    if not named["seed"].isdecimal():
        raise CampaignError(place, "seed is a whole number")
    figures = None if named["error"] else _figures(named, place)
    seed = int(named["seed"])
    return Row(named["identity"], seed, parameters_of(values), figures, named["error"])


def _figures(named: Mapping[str, str], place: str) -> Figures:
    found: dict[str, object] = {}
    for name in FIGURES:
        try:
            text = named[name]
            whole = name in _WHOLE_FIGURES
            found[name] = text if name == "digest" else int(text) if whole else float(text)
        except ValueError as error:
            raise CampaignError(place, f"{name} is a number") from error
    return Figures(**found)  # type: ignore[arg-type]
