"""Fuzzing of one group of parsers: guided by coverage where the fuzzer is installed.

`python -m tests.fuzz.fuzz_untrusted bundles -runs=1000000` goes on from the seeds of the group; a
folder given as argument keeps what it finds. The first two bytes of an input choose the parser,
the rest is what a peer would send. A crash writes the input to a file; run the module on group and
file again to see it, then add it to the seeds of its parser. With `--plain` the inputs come from
the seeded mutator of `mutators.py` alone, which needs no fuzzer. `make fuzz` runs all groups.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.targets import Group

__all__ = ["fuzz_plainly", "main"]

BYTES_MAX = 70_000
"""A little more than the longest frame."""
MISSING = (
    "the coverage-guided fuzzer is not installed (it exists for Linux and Python below 3.14: "
    "pip install '.[fuzz]'); inputs come from the seeded mutator instead"
)


def fuzz_plainly(group: Group, runs: int, seed: int = 1) -> int:
    """Run `runs` inputs made by the mutator, the seeds among them; return how many were run.

    Raises: whatever a parser should not; the input is written beside as `crash-...`.
    """
    from tests.fuzz.mutators import Mutator

    mutator, inputs = Mutator(seed), group.inputs()
    payloads = [data[2:] for data in inputs]
    for number in range(runs):
        data = inputs[number % len(inputs)]
        if number >= len(inputs):
            choice = (number * 7919 % 65_521).to_bytes(2, "big") if number % 2 else data[:2]
            data = choice + mutator.mutate(data[2:], payloads)
        try:
            group.run(data)
        except BaseException:
            path = Path(f"crash-{hashlib.sha1(data).hexdigest()}")
            path.write_bytes(data)
            print(f"{group.parser(data).name}: the input is in {path}", file=sys.stderr)
            raise
    return runs


def _fuzz_guided(name: str, flags: Sequence[str], own: Sequence[str]) -> None:
    """Hand over to the fuzzer, which ends the process."""
    import atheris

    # Nothing of the product may be imported before this, or it would not be watched.
    with atheris.instrument_imports(include=["protocol", "meshnode"]):
        from tests.fuzz.mutators import Mutator
        from tests.fuzz.targets import groups
    group = groups()[name]
    inputs = group.inputs()
    payloads = [data[2:] for data in inputs]

    def mutate(data: bytes, size_max: int, seed: int) -> bytes:
        if seed % 2 or len(data) < 2:
            changed = bytes(atheris.Mutate(data, size_max))
        else:
            changed = (data[:2] + Mutator(seed).mutate(data[2:], payloads))[:size_max]
        return group.steered(changed, seed // 2)

    with tempfile.TemporaryDirectory(prefix="meshnode-fuzz-") as folder:
        for number, data in enumerate(inputs):
            (Path(folder) / f"{number:05d}").write_bytes(data)
        places = [*own, folder] if not (own and Path(own[0]).is_file()) else list(own)
        atheris.Setup(
            ["fuzz", f"-max_len={BYTES_MAX}", *flags, *places], group.run, custom_mutator=mutate
        )
        atheris.Fuzz()


def main(arguments: Sequence[str]) -> int:
    """Fuzz one group until the runs given are done."""
    # A certificate that is odd but readable gives a warning; here it may go on to the next check.
    warnings.simplefilter("ignore")
    name = arguments[0]
    flags = [each for each in arguments[1:] if each.startswith("-") and each != "--plain"]
    own = [each for each in arguments[1:] if not each.startswith("-")]
    if "--plain" not in arguments:
        try:
            import atheris  # noqa: F401
        except ImportError:
            print(MISSING, file=sys.stderr)
        else:
            _fuzz_guided(name, flags, own)
            return 0
    from tests.fuzz.targets import groups

    runs = next(int(each[6:]) for each in flags if each.startswith("-runs="))
    started_s = time.monotonic()
    done = fuzz_plainly(groups()[name], runs)
    print(f"Done {done} runs in {time.monotonic() - started_s:.0f} second(s)", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
