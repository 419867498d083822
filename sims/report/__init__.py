"""Reports for planners: pages that need no network, no other file and no program but a browser."""

from __future__ import annotations

from sims.report.campaign import campaign_report
from sims.report.comparison import comparison_report
from sims.report.run import run_report
from sims.report.words import LANGUAGES, Language, ReportError

__all__ = [
    "LANGUAGES",
    "Language",
    "ReportError",
    "campaign_report",
    "comparison_report",
    "run_report",
]
