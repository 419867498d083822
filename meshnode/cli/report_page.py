"""A report of an archive as one file that needs nothing else: no script, no other host."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from meshnode.cli.language import current_language, say
from meshnode.cli.report_plots import delay_plot, delivery_plot, place_plot
from meshnode.cli.report_tables import Section, day_text, sections

__all__ = ["notes", "page", "period"]

Json = dict[str, Any]
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2128;--page:#fff;--faint:#d8dee4;--soft:#57606a;
--c0:#0b63b0;--c1:#1a7f4b;--c2:#9a6700;--c3:#6e7781;--none:#c4320a}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--page:#0d1117;--faint:#3d444d;--soft:#9aa4ae;
--c0:#6cb6ff;--c1:#57d08b;--c2:#e3b341;--c3:#9aa4ae;--none:#ff8f6b}}
body{margin:0 auto;padding:1rem;max-width:60rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .75rem .25rem 0;text-align:right;border-bottom:1px solid var(--faint)}
td{white-space:nowrap}
th:first-child,td:first-child{text-align:left}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg line{stroke:var(--faint)}.c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}
.c3{fill:var(--c3)}.none{fill:var(--none)}.notes{color:var(--soft)}
@media print{svg,table{break-inside:avoid}}
"""


def page(report: Json) -> str:
    """Return the HTML of a report in the language in use."""
    title = say("Report of the network")
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{escape(period(report))}</p>"]
    found = sections(report)
    if not found:
        parts.append(f"<p>{escape(say('Too few devices: nothing is shown.'))}</p>")
    parts += [_section(each, _plot(report, each)) for each in found]
    parts.append('<ul class="notes">')
    parts += [f"<li>{escape(each)}</li>" for each in notes(report)]
    parts.append("</ul>")
    return (
        f'<!doctype html>\n<html lang="{current_language()}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def period(report: Json) -> str:
    """Return the period of a report, in words."""
    return say(
        "From {first} to {last}, whole days (UTC).",
        first=day_text(report["since_ms"]),
        last=day_text(report["until_ms"] - 1),
    )


def notes(report: Json) -> list[str]:
    """Return what must be known to read the figures right."""
    found = [
        say(
            "Groups of fewer than {count} devices are not shown; they stand together as others.",
            count=report["devices_min"],
        ),
        say(
            "A delay is from writing, by the author's clock, to the gateway. Bundles that came "
            "before they were written are counted as clock ahead; a clock that is late makes a "
            "delay longer, and nobody can tell."
        ),
        say("Unknown means that no receipt came here. It does not mean that a message was lost."),
        say("A dash stands where nothing is known, or too few values are."),
    ]
    share = report["coverage"]["looked_at"]
    if share < 1:
        found.append(
            say(
                "Networks by place: of {share} % of the devices, on the busiest day.",
                share=f"{100 * share:.1f}",
            )
        )
    if report["receipts_unreadable"]:
        found.append(say("{count} receipts cannot be read.", count=report["receipts_unreadable"]))
    return found


def _plot(report: Json, section: Section) -> str:
    if section.part == "coverage":
        return place_plot(report["coverage"]["cells"])
    if not section.by:
        return ""
    groups = report[section.part][section.by]
    return delay_plot(groups) if section.part == "arrivals" else delivery_plot(groups)


def _section(section: Section, plot: str) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in section.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in section.rows
    )
    return (
        f"<section><h2>{escape(section.title)}</h2>{plot}"
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )
