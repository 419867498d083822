"""On which line of a file everything stands: against files whose lines are known."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sims.linemap import Path, map_lines

TEXT = '''# A comment with [a table] in it
about = "one # two"
"odd key".'x' = 1
text = """
[not.a.table]
key = 1
a quote at the end""""
after = [
  1, # one
  "two, ]",
  { three = 3, "four.five" = [
      4] }, { }
]
[a.b]
c.d.e = \'\'\'it's
raw\'\'\'
c.d.f = 1979-05-27 07:32:00
[[a.many]]
x = 1

  [[ a . many ]]
x = 2
[a.many.below]
y = ""
[a]
z = true
'''


def test_every_place_of_a_file_has_its_line() -> None:
    assert map_lines(TEXT) == {
        ("about",): 2,
        ("odd key",): 3,
        ("odd key", "x"): 3,
        ("text",): 4,
        ("after",): 8,
        ("after", 0): 9,
        ("after", 1): 10,
        ("after", 2): 11,
        ("after", 2, "three"): 11,
        ("after", 2, "four.five"): 11,
        ("after", 2, "four.five", 0): 12,
        ("after", 3): 12,
        ("a",): 14,
        ("a", "b"): 14,
        ("a", "b", "c"): 15,
        ("a", "b", "c", "d"): 15,
        ("a", "b", "c", "d", "e"): 15,
        ("a", "b", "c", "d", "f"): 17,
        ("a", "many"): 18,
        ("a", "many", 0): 18,
        ("a", "many", 0, "x"): 19,
        ("a", "many", 1): 21,
        ("a", "many", 1, "x"): 22,
        ("a", "many", 1, "below"): 23,
        ("a", "many", 1, "below", "y"): 24,
        ("a", "z"): 26,
    }


KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
ODD_KEYS = st.text(st.sampled_from("ab.#[]=\"'\\é \t"), max_size=4)
ANY_KEYS = KEYS | ODD_KEYS
SIMPLE = st.sampled_from(["1", "-2.5e3", "true", "inf", "2020-01-01", "0x1F", '""', "''"])
STRINGS = st.sampled_from(
    [
        '"a # b ] } , \\" \\\\"',
        "'c \\'",
        '"""\n[x]\ny = 1\n"" \\""""',
        "'''\n# no\n'' '''''",
        '"""""""',
        '"""\\\n  \n more"""',
    ]
)
SPACES = st.sampled_from(["", " ", "\t "])
ENDS = st.sampled_from(["\n", "  # said [so] = 1\n", "\n\n", '\n# a line "\n\t\n'])


def quoted(key: str) -> str:
    """Return `key` as TOML writes it."""
    if key and all(each.isascii() and (each.isalnum() or each in "-_") for each in key):
        return key
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'


class Writer:
    """Writes TOML and notes where everything is, by counting the lines that it wrote."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def file(self) -> None:
        self.text += self.draw(ENDS)
        self.pairs(())
        for key in self.draw(st.lists(ANY_KEYS, max_size=4, unique=True)):
            if (key,) in self.lines:
                continue
            for place in range(self.draw(st.integers(0, 2))):
                self.text += self.draw(SPACES)
                self.note((key,))
                self.note((key, place))
                self.text += f"[[{self.draw(SPACES)}{quoted(key)}]]{self.draw(ENDS)}"
                self.pairs((key, place))
            if (key,) not in self.lines:
                self.note((key,))
                self.note((key, "sub"))
                self.text += f"[{quoted(key)} . sub]{self.draw(ENDS)}"
                self.pairs((key, "sub"))

    def pairs(self, table: Path) -> None:
        for key in self.draw(st.lists(ANY_KEYS, max_size=4, unique=True)):
            self.text += self.draw(SPACES)
            path = (*table, key)
            self.note(path)
            self.text += quoted(key)
            if self.draw(st.booleans()):
                self.note((*path, "dotted"))
                path = (*path, "dotted")
                self.text += f"{self.draw(SPACES)}.dotted"
            self.text += f"{self.draw(SPACES)}={self.draw(SPACES)}"
            self.value(path, 2)
            self.text += self.draw(ENDS)

    def value(self, path: Path, depth: int) -> None:
        kind = self.draw(st.sampled_from("slid" if depth else "sd"))
        if kind == "l":
            self.text += f"[{self.draw(ENDS)}"
            for place in range(self.draw(st.integers(0, 3))):
                self.note((*path, place))
                self.value((*path, place), depth - 1)
                self.text += f"{self.draw(SPACES)},{self.draw(ENDS | SPACES)}"
            self.text += "]"
        elif kind == "i":
            self.text += "{ "
            for place, key in enumerate(self.draw(st.lists(ANY_KEYS, max_size=3, unique=True))):
                self.text += ", " if place else ""
                self.note((*path, key))
                self.text += f"{quoted(key)} = "
                self.value((*path, key), depth - 1)
            self.text += " }"
        else:
            self.text += self.draw(SIMPLE if kind == "s" else STRINGS)


@given(st.data())
def test_the_lines_of_any_file_are_those_it_was_written_on(data: st.DataObject) -> None:
    writer = Writer(data)
    writer.file()
    assert map_lines(writer.text) == writer.lines
    assert set(paths(tomllib.loads(writer.text), ())) <= set(writer.lines)


def paths(value: Any, path: Path) -> list[Path]:
    """Return the place of everything below `value`."""
    if isinstance(value, dict):
        below: list[tuple[Path, Any]] = [((*path, key), each) for key, each in value.items()]
    elif isinstance(value, list):
        below = [((*path, place), each) for place, each in enumerate(value)]
    else:
        return []
    return [found for place, each in below for found in (place, *paths(each, place))]


@given(st.text(st.sampled_from("ab.=[]{}\"'#,\n 1\\"), max_size=30))
def test_whatever_the_parser_takes_has_a_line_everywhere(text: str) -> None:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = map_lines(text)
    assert set(paths(found, ())) <= set(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
