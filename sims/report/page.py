"""Builds a page that needs nothing else: styles, scripts, charts and data stand in it.

Its policy forbids the browser to load anything and to run a script that is not one of its own.
Every text is escaped here and nowhere else, except for charts, which escape theirs.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sims.report.drawing import COLOURS
from sims.report.records import Figure, Key, Table
from sims.report.words import Cell, ReportError, Words

__all__ = ["Page", "as_csv", "embedded_json", "figure_part", "table_part", "write_page"]

SCHEMA: Final = 1
"""Version of `figures.json`."""
ROWS_SHOWN_MAX: Final = 200
"""Of a table below a figure; the file of data has all rows."""

_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Page:
    """A report, ready to be written."""

    title: str
    """Heading and name of the window."""
    words: Words
    """Of the reader's language."""
    parts: tuple[str, ...]
    """HTML in the order of the page, escaped."""
    figures: tuple[Figure, ...]
    """Everything that is also given as data."""
    scripts: tuple[str, ...] = ("tables.js",)
    """Names of own scripts that run at the end."""


def write_page(page: Page, path: Path) -> Path:
    """Write a page and return where it is.

    A `path` that ends in `.html` becomes one file. Any other is a folder, made where it is missing:
    `index.html`, `figures.json`, and `data/NAME.csv` for each figure. Raises: ReportError.
    """
    try:
        if path.suffix == ".html":
            path.write_text(_html(page), encoding="utf-8", newline="\n")
            return path
        (path / "data").mkdir(parents=True, exist_ok=True)
        for figure in page.figures:
            data = path / "data" / f"{figure.name}.csv"
            data.write_text(as_csv(figure.table), encoding="utf-8", newline="\n")
        figures = path / "figures.json"
        figures.write_text(_figures_json(page), encoding="utf-8", newline="\n")
        (path / "index.html").write_text(_html(page), encoding="utf-8", newline="\n")
        return path / "index.html"
    except OSError as error:
        raise ReportError(f"{path}: the report cannot be written: {error.strerror}") from error


def _figures_json(page: Page) -> str:
    figures = {
        each.name: {
            "title": each.title,
            "about": each.about,
            "columns": each.table.columns,
            "rows": each.table.rows,
        }
        for each in page.figures
    }
    content = {"schema": SCHEMA, "title": page.title, "figures": figures}
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def as_csv(table: Table) -> str:
    """Return a table as CSV with a line of names; a field that nobody knows is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return file.getvalue()


def _plain(cell: Cell) -> str:
    return "" if cell is None else format(cell, ".10g") if isinstance(cell, float) else str(cell)


# --- parts ---------------------------------------------------------------------------------------


def figure_part(figure: Figure, words: Words, rows_shown: int = ROWS_SHOWN_MAX) -> str:
    """Return a figure with its legend, its sentence, its table and its file of data."""
    chart = ""
    if figure.svg:
        label = f'role="img" aria-labelledby="{figure.name}-title {figure.name}-about"'
        chart = f'<div class="chart">{figure.svg.replace("<svg ", f"<svg {label} ", 1)}</div>'
    return (
        f'<figure class="figure" id="{figure.name}">\n'
        f'<h3 id="{figure.name}-title">{escape(figure.title)}</h3>\n'
        f"{_legend(figure.keys)}{chart}\n"
        f'<figcaption id="{figure.name}-about">{escape(figure.about)}</figcaption>\n'
        f"{_data_part(figure, words, rows_shown)}</figure>"
    )


def _data_part(figure: Figure, words: Words, rows_shown: int) -> str:
    shown = Table(figure.table.columns, figure.table.rows[:rows_shown])
    hidden = len(figure.table.rows) - len(shown.rows)
    more = f"<p>{escape(words('rows_more', count=words.number(hidden)))}</p>" if hidden else ""
    data = quote(as_csv(figure.table), safe=" ,;:._-")
    return (
        f"<details><summary>{escape(words('data'))}</summary>\n"
        f"{table_part(shown, words, figure.title)}{more}\n"
        f'<a class="download" download="{figure.name}.csv" href="data:text/csv;charset=utf-8,'
        f'{data.replace(" ", "%20")}">{escape(words("download", name=figure.name))}</a></details>\n'
    )


def _legend(keys: Sequence[Key]) -> str:
    items = "".join(f"<li>{_swatch(key)}{escape(key.label)}</li>" for key in keys)
    return f'<ul class="legend">{items}</ul>\n' if items else ""


_SHAPES: Final = {
    "": "",
    "o": '<circle cx="14" cy="6" r="3.6"/>',
    "s": '<rect x="10.7" y="2.7" width="6.6" height="6.6"/>',
    "^": '<path d="M14 1.6 18.2 9.6H9.8z"/>',
    "D": '<path d="M14 1 19 6 14 11 9 6z"/>',
    "v": '<path d="M14 10.4 18.2 2.4H9.8z"/>',
    "P": '<path d="M12 1h4v3h3v4h-3v3h-4V8H9V4h3z"/>',
    "X": '<path d="M10 1 14 5 18 1 19 2 15 6 19 10 18 11 14 7 10 11 9 10 13 6 9 2z"/>',
}
"""Of each marker, as the charts draw it."""


def _swatch(key: Key) -> str:
    colour = f"var(--{key.colour})"
    if key.is_line:
        dash = ' stroke-dasharray="5 3"' if key.is_dashed else ""
        drawn = (
            f'<path d="M0 6H28" stroke="{colour}" stroke-width="2.4"{dash}/>{_SHAPES[key.marker]}'
        )
    else:
        drawn = '<rect x="8" width="12" height="12"/>'
    return (
        f'<svg class="swatch" viewBox="0 0 28 12" fill="{colour}" aria-hidden="true">{drawn}</svg>'
    )


def table_part(table: Table, words: Words, caption: str) -> str:
    """Return a table that scrolls on its own and that its headings sort."""
    heads = "".join(
        f'<th scope="col"{_number_class(table, place)}><button type="button">'
        f"{escape(words.heading(name))}</button></th>"
        for place, name in enumerate(table.columns)
    )
    rows = "\n".join(
        "<tr>" + "".join(_field(cell, words) for cell in row) + "</tr>" for row in table.rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="sortable"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _number_class(table: Table, place: int) -> str:
    """Return the mark of a column that holds numbers."""
    is_number = any(isinstance(row[place], int | float) for row in table.rows)
    return ' class="number"' if is_number else ""


def _field(cell: Cell, words: Words) -> str:
    if cell is None or isinstance(cell, str):
        return f"<td>{escape(words.cell(cell))}</td>"
    return f'<td class="number" data-value="{_plain(cell)}">{escape(words.cell(cell))}</td>'


def embedded_json(identifier: str, content: Any) -> str:
    """Return data for a script of the page; no text in it can end the element it stands in."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f'<script type="application/json" id="{identifier}">{text}</script>'


# --- the whole -----------------------------------------------------------------------------------


def _html(page: Page) -> str:
    scripts = [_asset(name) for name in page.scripts]
    allowed = " ".join(f"'sha256-{_digest(each)}'" for each in scripts)
    policy = (
        "default-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'; "
        f"img-src data:; style-src 'unsafe-inline'; script-src {allowed}"
    )
    body = "\n".join(page.parts)
    ends = "\n".join(f"<script>{each}</script>" for each in scripts)
    title = escape(page.title)
    return (
        f'<!DOCTYPE html>\n<html lang="{page.words.language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>\n{_palette()}{_asset('page.css')}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n{ends}\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _palette() -> str:
    light = "".join(f"--{name}:{pair[0]};" for name, pair in COLOURS.items())
    dark = "".join(f"--{name}:{pair[1]};" for name, pair in COLOURS.items())
    return f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
