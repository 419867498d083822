"""Readers of contacts, events and tracks that others recorded; each gives a region."""

from sims.importing.reading import Imported, ImportOptions, Kind, detect_kind, import_region
from sims.importing.writing import write_region

__all__ = [
    "ImportOptions",
    "Imported",
    "Kind",
    "detect_kind",
    "import_region",
    "write_region",
]
