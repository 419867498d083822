"""Coverage-guided fuzzing of every parser in the table of `tests.properties.parsers`.

`python -m tests.fuzz.fuzz_untrusted -runs=1000000` goes on from the seeds of the table; a folder
given as argument keeps what it finds. The first two bytes of an input choose the parser, the rest
is what a peer would send. A crash writes the input to a file; run the module on that file again
to see it, then add it to the seeds of its parser.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

__all__ = ["main", "run_one"]

_CHOICE_BYTES = 2


def run_one(data: bytes) -> None:
    """Run the parser that the first two bytes choose. Raises: whatever it should not."""
    from tests.properties.parsers import PARSERS

    if len(data) < _CHOICE_BYTES:
        return
    parser = PARSERS[int.from_bytes(data[:_CHOICE_BYTES], "big") % len(PARSERS)]
    try:
        parser.read(data[_CHOICE_BYTES:])
    except parser.errors:
        return


def write_seeds(folder: Path) -> int:
    """Write every seed of the table into `folder`; return how many there are."""
    from tests.properties.parsers import PARSERS

    count = 0
    for place, parser in enumerate(PARSERS):
        for seed in parser.seeds:
            path = folder / f"{place:03d}-{count:03d}"
            path.write_bytes(place.to_bytes(_CHOICE_BYTES, "big") + seed)
            count += 1
    return count


def main(arguments: list[str]) -> int:
    """Fuzz until the runs given are done. Returns: 2 if the fuzzer is not installed."""
    try:
        import atheris
    except ImportError:
        print("the fuzzer is not installed: run  pip install '.[fuzz]'  (Linux, Python below 3.14)")
        return 2
    # A certificate that is odd but readable gives a warning; here it may go on to the next check.
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["protocol"]):
        import tests.properties.parsers  # noqa: F401
    with tempfile.TemporaryDirectory(prefix="meshnode-fuzz-") as folder:
        own = [argument for argument in arguments[1:] if not argument.startswith("-")]
        write_seeds(Path(folder))
        inputs = [] if own and Path(own[0]).is_file() else [folder]
        atheris.Setup([arguments[0], *arguments[1:], "-max_len=70000", *inputs], run_one)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
