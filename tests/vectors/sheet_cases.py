"""The inputs of vectors about reflex sheets. Source: wire-format 13."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.canonical import Value, encode
from protocol.sheets import sheet_id_of
from tests.vectors.seeds import SEED, Case, accepted, refused

__all__ = ["catalogue_cases"]


def catalogue_cases() -> Iterator[Case]:
    """Catalogues at their bounds, and each lie that one can tell."""
    sheet: tuple[Value, ...] = (
        *(b"homme-a-la-mer", 2, "Homme à la mer".encode(), b"fr"),
        *((b"alerte", "bouée".encode()), 3, 70_000, bytes(32), SEED),
    )
    mine = sheet_id_of("homme-a-la-mer")

    def changed(place: int, value: Value) -> Value:
        return (*sheet[:place], value, *sheet[place + 1 :])

    for what, sheets, retracted in (
        ("a sheet", [sheet], []),
        ("nothing any more", [], [(mine, 2)]),
        ("an older version retracted", [sheet], [(mine, 1)]),
        ("without language and keywords", [(*sheet[:3], b"", (), *sheet[5:])], []),
    ):
        yield accepted("13.2", what, encode((1, 7, sheets, retracted)).hex())
    for what, item in {
        "a name with a path": changed(0, b"../mer"),
        "a name with two hyphens": changed(0, b"a--b"),
        "version 0": changed(1, 0),
        "a title that is turned around": changed(2, "a\u202eb".encode()),
        "a title of two lines": changed(2, b"a\nb"),
        "a language of one letter": changed(3, b"f"),
        "seventeen keywords": changed(4, (b"a",) * 17),
        "form 4": changed(5, 4),
        "an empty sheet": changed(6, 0),
        "a sheet of a terabyte": changed(6, 2**40),
        "a short key": changed(8, SEED[:31]),
    }.items():
        yield refused("13.2", what, encode((1, 7, [item], [])).hex())
    for what, value in {
        "version 0 of the pack": (1, 0, [sheet], []),
        "one sheet twice": (1, 7, [sheet, sheet], []),
        "a sheet that it retracts": (1, 7, [sheet], [(mine, 2)]),
        "retracted out of order": (1, 7, [], [(b"b" * 8, 1), (b"a" * 8, 1)]),
        "21 MB": (1, 7, [(b"s%d" % n, *sheet[1:6], 8_388_608, *sheet[7:]) for n in range(3)], []),
    }.items():
        yield refused("13.2", what, encode(value).hex())
    yield refused("1.2", "version 2", encode((2, 7, [sheet], [])).hex())
