"""Bounds of documents that are shown, with unit and reason. Source: STYLE 15."""

from __future__ import annotations

from typing import Final

__all__ = [
    "DOCUMENT_BLOCKS_MAX",
    "DOCUMENT_CELLS_MAX",
    "DOCUMENT_CHARACTERS_MAX",
    "DOCUMENT_COLUMNS_MAX",
    "DOCUMENT_DEPTH_MAX",
    "DOCUMENT_ELEMENTS_MAX",
    "DOCUMENT_INDEX_BYTES_MAX",
    "DOCUMENT_MEMBERS_MAX",
    "DOCUMENT_PICTURES_BYTES_MAX",
    "DOCUMENT_PICTURES_MAX",
    "DOCUMENT_PICTURES_PIXELS_MAX",
    "DOCUMENT_PICTURES_UNPACKED_MAX",
    "DOCUMENT_PICTURE_BYTES_MAX",
    "DOCUMENT_PICTURE_PIXELS_MAX",
    "DOCUMENT_PICTURE_SCANS_MAX",
    "DOCUMENT_SHOWN_BYTES_MAX",
    "DOCUMENT_XML_BYTES_MAX",
    "SPACES_MAX",
]

# --- documents that are shown ------------------------------------------------------------------
DOCUMENT_SHOWN_BYTES_MAX: Final = 20_971_520
"""A file that is shown; larger ones are saved and opened elsewhere."""
DOCUMENT_INDEX_BYTES_MAX: Final = 262_144
"""Central directory of an archive: read whole, so its size is looked at before."""
DOCUMENT_MEMBERS_MAX: Final = 2_000
"""Members of an archive; a document with a hundred pictures has 130."""
DOCUMENT_XML_BYTES_MAX: Final = 8_388_608
"""One unpacked XML member: a book has 3 MB, a bomb unpacks no further than this."""
DOCUMENT_ELEMENTS_MAX: Final = 300_000
"""Elements of one member; reading so many takes about a second."""
DOCUMENT_DEPTH_MAX: Final = 100
"""Elements inside one another; real documents nest 20 deep."""
DOCUMENT_PICTURE_BYTES_MAX: Final = 4_194_304
"""One picture, unpacked: a photo of 12 million pixels as phones save it."""
DOCUMENT_PICTURE_PIXELS_MAX: Final = 16_777_216
"""Pixels that a picture claims: a browser makes 64 MB of them, whatever its file has."""
DOCUMENT_PICTURE_SCANS_MAX: Final = 64
"""Passes of one JPEG; programs write 10, and a browser goes over all pixels in each."""
DOCUMENT_PICTURES_MAX: Final = 100
"""Places of a document where a picture is shown; one that comes again counts again."""
DOCUMENT_PICTURES_BYTES_MAX: Final = 8_388_608
"""Pictures of a page together, each time they are shown: the page has a third more."""
DOCUMENT_PICTURES_PIXELS_MAX: Final = 67_108_864
"""Pixels of a page together: a browser makes 256 MB of them."""
DOCUMENT_PICTURES_UNPACKED_MAX: Final = 16_777_216
"""What is unpacked in search of pictures, those that are not shown with it."""
DOCUMENT_CHARACTERS_MAX: Final = 1_000_000
"""Characters of one document that are shown: 300 pages."""
DOCUMENT_BLOCKS_MAX: Final = 20_000
"""Headings, paragraphs, items and tables of one document."""
DOCUMENT_CELLS_MAX: Final = 50_000
"""Cells of all tables of one document, counted as they are repeated."""
DOCUMENT_COLUMNS_MAX: Final = 256
"""Columns of one table up to the last that holds something."""
SPACES_MAX: Final = 80
"""Spaces that one element stands for: a line of a screen."""
