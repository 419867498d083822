"""The house rules that a program can check, as functions from a file to complaints.

Each rule looks at one parsed file and yields sentences; it knows nothing of the tree that it
stands in, so that a planted sample shows that it bites. `test_tidy.py` feeds it the tree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import pairwise

__all__ = [
    "EXCEPTION_CATCHERS",
    "IMPORTERS",
    "PACKAGES",
    "RULES",
    "Rule",
    "Source",
    "TextRule",
    "blind_handlers",
    "complaints",
    "imported_names",
    "long_files",
    "long_functions",
    "long_signatures",
    "missing_docstrings",
    "missing_exports",
    "private_trio",
    "stray_imports",
    "tell_tales",
    "undocumented_fields",
    "unfinished_words",
]

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
NESTING_MAX = 4
PARAMETERS_MAX = 8

PACKAGES = ("protocol", "meshnode", "sims")

IMPORTERS: dict[str, tuple[str, ...]] = {
    "msgpack": ("protocol/canonical.py",),
    "sqlmodel": ("meshnode/store/*",),
    "sqlalchemy": ("meshnode/store/*",),
    "alembic": ("meshnode/store/*",),
    "sqlite3": ("meshnode/store/*", "meshnode/bench/*", "sims/store_checkers.py"),
    "zeroconf": ("meshnode/discovery/mdns.py",),
    "ifaddr": ("meshnode/discovery/*",),
    "ssl": ("meshnode/links/tls.py", "meshnode/enrol.py", "meshnode/bench/*"),
    "typer": ("meshnode/cli/*", "sims/cli.py", "sims/commands/*"),
    "rich": ("meshnode/cli/*", "meshnode/demo/*", "sims/cli.py", "sims/commands/*"),
    "numba": ("sims/compiled.py",),
    "matplotlib": ("sims/report/drawing.py",),
    "dask": ("sims/campaign/cluster.py",),
    "distributed": ("sims/campaign/cluster.py", "sims/campaign/runner.py"),
    "gpxpy": ("sims/importing/gpx.py",),
    "jeepney": ("meshnode/sensors/bus.py",),
    "pyais": ("meshnode/services/ais.py",),
    "pynmea2": ("meshnode/sensors/nmea.py", "sims/importing/nmea.py"),
    "segno": ("meshnode/cli/*",),
    "fastapi": ("meshnode/web/*",),
    "starlette": ("meshnode/web/*",),
    "pydantic": ("meshnode/web/bodies.py",),
    "hypercorn": ("meshnode/web/server.py",),
    "PIL": ("meshnode/photos.py",),
    "cryptography": (
        "protocol/attachments.py",
        "protocol/authority.py",
        "protocol/bundle.py",
        "protocol/certificates.py",
        "protocol/chains.py",
        "protocol/delegation.py",
        "protocol/documents.py",
        "protocol/enrolment.py",
        "protocol/envelope.py",
        "protocol/identity.py",
        "protocol/issuing.py",
        "protocol/narrow/radio.py",
        "protocol/stick.py",
        "protocol/witnessed.py",
        "protocol/zones.py",
        "meshnode/authority_cards.py",
        "meshnode/authority_founding.py",
        "meshnode/authority_keys.py",
        "meshnode/authority_units.py",
        "meshnode/authority_zone_founding.py",
        "meshnode/authority_zones.py",
        "meshnode/bench/floor.py",
        "meshnode/doctor/identity.py",
        "meshnode/enrol.py",
        "meshnode/holdings.py",
        "meshnode/links/tls.py",
        "meshnode/store/keyring.py",
        "meshnode/vault/vault.py",
        "meshnode/vault/wrapping.py",
        "sims/fleet.py",
        "sims/sealer.py",
    ),
}
"""The only files that may import a package; a change of this table needs a decision page."""

EXCEPTION_CATCHERS = (
    "meshnode/supervisor.py",
    "meshnode/cli/main.py",
    "meshnode/discovery/mdns.py",
)
"""A room that fails is started again, a command ends in one sentence, a thread reports home."""

PRIVATE_TRIO_USERS = ("sims/scheduler.py",)

# The words are put together here, or this file would be the first to break its own rule.
_UNFINISHED = re.compile(
    r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]) + r")\b"
    r"|(?i:\bplace" + r"holder|\bfor" + r" now\b|\bnot implemented yet\b)"
)
_TELL_TALES = re.compile(
    "|".join(
        [
            "pypi" + r"\.org",
            "python" + "hosted",
            "(?<!emit-)index" + "-url",
            "/wo" + "rk/",
            "/ro" + "ot/",
        ]
    )
)


@dataclass(frozen=True, slots=True)
class Source:
    """A file of Python with its place in the tree."""

    path: str
    """Place below the top of the tree, with forward slashes."""
    text: str
    """The whole file."""
    tree: ast.Module
    """The file, parsed."""

    @classmethod
    def read(cls, path: str, text: str) -> Source:
        """Return `text` as the file at `path`."""
        return cls(path, text, ast.parse(text, path))

    @property
    def package(self) -> str:
        """The first part of the path: protocol, meshnode, sims or tests."""
        return self.path.split("/")[0]

    @property
    def is_product(self) -> bool:
        """Whether users get this file; tests are held to fewer rules."""
        return self.package in PACKAGES


Rule = Callable[[Source], Iterator[str]]
TextRule = Callable[[str], Iterator[str]]
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _functions(source: Source) -> Iterator[_Function]:
    for node in ast.walk(source.tree):
        if isinstance(node, _Function):
            yield node


def _is_migration(path: str) -> bool:
    """Return whether alembic wrote the file: it is run once and never read for pleasure."""
    return fnmatch(path, "meshnode/store/migrations/versions/*")


def _lines_of(node: _Function) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def long_files(source: Source) -> Iterator[str]:
    """Complain of a file that holds more than one noun."""
    lines = len(source.text.splitlines())
    if lines > FILE_LINES_MAX:
        yield f"{lines} lines, {FILE_LINES_MAX} at most"


def long_functions(source: Source) -> Iterator[str]:
    """Complain of a function that is too long to read or nests too deeply."""
    if _is_migration(source.path):
        return
    for node in _functions(source):
        if _lines_of(node) > FUNCTION_LINES_MAX:
            yield f"{node.name} has {_lines_of(node)} lines, {FUNCTION_LINES_MAX} at most"
        depth = max((_depth(each) for each in node.body), default=0)
        if depth > NESTING_MAX:
            yield f"{node.name} nests {depth} deep, {NESTING_MAX} at most"


_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar)


def _depth(node: ast.stmt, is_elif: bool = False) -> int:
    """Return how many blocks lie around the innermost statement of `node`."""
    if isinstance(node, _Definition):
        return 0
    own = int(isinstance(node, (*_BLOCKS, ast.Match)) and not is_elif)
    inner = 0
    for field, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            statements = (
                each.body if isinstance(each, ast.ExceptHandler | ast.match_case) else [each]
            )
            for statement in statements:
                if isinstance(statement, ast.stmt):
                    chained = (
                        field == "orelse" and len(value) == 1 and isinstance(statement, ast.If)
                    )
                    inner = max(inner, _depth(statement, chained and isinstance(node, ast.If)))
    return own + inner


def long_signatures(source: Source) -> Iterator[str]:
    """Complain of a function with too many parameters; self and cls do not count.

    In a test, a parameter that is named at each call and may be left out does not count either:
    it says in what a case differs from the usual.
    """
    for node in _functions(source):
        every = [*node.args.posonlyargs, *node.args.args]
        named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        every += [each for each, default in named if source.is_product or default is None]
        count = sum(each.arg not in {"self", "cls"} for each in every)
        if count > PARAMETERS_MAX:
            yield f"{node.name} has {count} parameters, {PARAMETERS_MAX} at most"


def imported_names(source: Source) -> Iterator[str]:
    """Yield the full name of each module, or name in a module, that the file imports."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"relative import in {source.path}"


def stray_imports(source: Source) -> Iterator[str]:
    """Complain of a package that is imported outside the files named for it."""
    if not source.is_product:
        return
    for package in sorted({name.split(".")[0] for name in imported_names(source)}):
        if package.startswith("relative import"):
            yield "a relative import: name the module in full"
        elif package in IMPORTERS and not _is_among(source.path, IMPORTERS[package]):
            yield f"imports {package}, which only {', '.join(IMPORTERS[package])} may"


def _is_among(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def private_trio(source: Source) -> Iterator[str]:
    """Complain of a name of trio that its makers may change without a word."""
    if _is_among(source.path, PRIVATE_TRIO_USERS):
        return
    for name in imported_names(source):
        if name.split(".")[0] == "trio" and any(each[0] == "_" for each in name.split(".")):
            yield f"imports {name}, which is private to trio"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr[0] == "_" and _root(node) == "trio":
            yield f"uses trio's private {node.attr}"


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def blind_handlers(source: Source) -> Iterator[str]:
    """Complain of a handler that catches everything and keeps it, outside the files that may."""
    if not source.is_product or source.path in EXCEPTION_CATCHERS:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and not _passes_on(node):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(
                each is None or _last(each) in {"Exception", "BaseException"} for each in caught
            ):
                yield f"line {node.lineno} catches everything"


def _passes_on(node: ast.ExceptHandler) -> bool:
    """Return whether the handler only tidies up: it ends by raising what it caught."""
    after = node.body[-1]
    return isinstance(after, ast.Raise) and after.exc is None


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def missing_docstrings(source: Source) -> Iterator[str]:
    """Complain of a module, public class or public function that does not say what it gives."""
    if source.tree.body and not ast.get_docstring(source.tree):
        yield "the module does not say its job"
    if source.is_product and not _is_migration(source.path):
        yield from _undocumented(source.tree, "")


def _undocumented(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for node in parent.body:
        if not isinstance(node, _Definition) or node.name[0] == "_":
            continue
        if not ast.get_docstring(node) and not _is_overridden(node):
            yield f"{prefix}{node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node, f"{node.name}.")


def _is_overridden(node: ast.stmt) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(_last(each) in {"override", "overload", "setter"} for each in decorators)


def missing_exports(source: Source) -> Iterator[str]:
    """Complain of a public module without `__all__`, and of a name in it that is not there."""
    name = source.path.rsplit("/", 1)[-1]
    if not source.is_product or name.startswith("_") or "/migrations/" in source.path:
        return
    exported = _exported(source.tree)
    if exported is None:
        yield "has no __all__"
        return
    defined = set(_defined(source.tree))
    yield from (
        f"__all__ names {each}, which is not here" for each in exported if each not in defined
    )


def _exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(_last(each) == "__all__" for each in targets):
            assert isinstance(node, ast.Assign)
            return list(ast.literal_eval(node.value))
    return None


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, _Definition):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((each.asname or each.name).split(".")[0] for each in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def undocumented_fields(source: Source) -> Iterator[str]:
    """Complain of a field of a record without the line that gives its meaning and unit."""
    for node in ast.walk(source.tree) if source.is_product else ():
        if isinstance(node, ast.ClassDef) and _is_record(node) and node.name[0] != "_":
            yield from (f"{node.name}.{each} has no line of its own" for each in _bare_fields(node))


def _bare_fields(node: ast.ClassDef) -> Iterator[str]:
    """Yield each public field of a record that no text follows."""
    for field, after in pairwise([*node.body, ast.Pass()]):
        is_field = isinstance(field, ast.AnnAssign) and _last(field.target)[0] != "_"
        if is_field and not _is_text(after):
            assert isinstance(field, ast.AnnAssign)
            yield _last(field.target)


def _is_record(node: ast.ClassDef) -> bool:
    calls = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
    is_named_tuple = any(_last(base) == "NamedTuple" for base in node.bases)
    return is_named_tuple or any(_last(each) == "dataclass" for each in calls)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def unfinished_words(text: str) -> Iterator[str]:
    """Complain of a word that says the work is not done; for any text file."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _UNFINISHED.search(line):
            yield f"line {number} says {found.group()!r}"


def tell_tales(text: str) -> Iterator[str]:
    """Complain of an address of a package registry or a path of one machine; for any text file."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TELL_TALES.search(line):
            yield f"line {number} names {found.group()!r}"


RULES: tuple[Rule, ...] = (
    long_files,
    long_functions,
    long_signatures,
    stray_imports,
    private_trio,
    blind_handlers,
    missing_docstrings,
    missing_exports,
    undocumented_fields,
)
"""Every rule on one file of Python."""


def complaints(sources: Iterable[Source], rule: Rule) -> list[str]:
    """Return what `rule` says of the files, each with its place."""
    return [f"{source.path}: {each}" for source in sources for each in rule(source)]
