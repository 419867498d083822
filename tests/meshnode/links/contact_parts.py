"""Two hosts over one memory link for tests: a contact with its two runners."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from meshnode.links.memory import MemoryLink, Shape, memory_link_pair
from meshnode.links.session_runner import SessionReport, SessionRunner
from protocol.errors import CloseCode
from protocol.limits import Kind
from tests.meshnode.links.fake_host import FakeHost, container, node_of
from tests.meshnode.links.parts import runtime

FAST = Shape(latency_s=0.01)
MEGABYTE = Shape(latency_s=0.03, rate_bytes_s=1_000_000)


@dataclass
class End:
    """One node of a contact."""

    host: FakeHost
    link: MemoryLink
    runner: SessionRunner
    report: SessionReport | None = None

    async def run(self) -> None:
        self.report = await self.runner.run()

    @property
    def done(self) -> SessionReport:
        assert self.report is not None
        return self.report


def make_ends(
    first: FakeHost, second: FakeHost, shape: Shape = FAST, gate: object = None
) -> tuple[End, End]:
    near, far = memory_link_pair(shape)
    return (
        End(first, near, SessionRunner(near, first, runtime(), gate)),  # type: ignore[arg-type]
        End(second, far, SessionRunner(far, second, runtime())),
    )


def hosts(commit_s: float = 0.001) -> tuple[FakeHost, FakeHost]:
    return FakeHost(node_of(b"a"), commit_s), FakeHost(node_of(b"b"), commit_s)


@asynccontextmanager
async def contact(
    first: FakeHost, second: FakeHost, shape: Shape = FAST
) -> AsyncIterator[tuple[End, End]]:
    """Run a session between two hosts; both ends are told to close at the end."""
    a, b = make_ends(first, second, shape)
    with trio.fail_after(3_600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.run)
            nursery.start_soon(b.run)
            yield a, b
            a.runner.close(CloseCode.NORMAL)


async def until(condition: Callable[[], bool], step_s: float = 0.01) -> float:
    """Return when `condition` holds; for virtual time only."""
    while not condition():  # noqa: ASYNC110  # The clock is virtual.
        await trio.sleep(step_s)
    return trio.current_time()


def texts(count: int, start: int = 0, size_bytes: int = 300) -> list[bytes]:
    return [container(Kind.TEXT, start + number, size_bytes) for number in range(count)]


def bulk(total_bytes: int) -> list[bytes]:
    return [container(Kind.CHUNK, number, 60_000) for number in range(total_bytes // 60_000)]
