"""Campaigns on real clusters of processes: same results whatever happens to the workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from distributed import Future
from distributed.comm.core import CommClosedError

from sims.campaign.cluster import ClusterPlan, connected
from sims.campaign.parameters import CampaignError
from sims.campaign.reading import load_campaign
from sims.campaign.results import read_results
from sims.campaign.runner import run_campaign
from tests.sims.campaign import parts
from tests.sims.campaign.persons import (
    Terminal,
    digest_by,
    start,
    terminal,
    write_campaign,
)

pytestmark = [pytest.mark.slow, pytest.mark.real]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trace and a campaign of 48 jobs on it."""
    found = tmp_path_factory.mktemp("campaign")
    write_campaign(found)
    return found


@pytest.fixture(scope="module")
def expected(folder: Path) -> str:
    """Return the digest of the campaign on one worker that lives."""
    return digest_by(folder, "one", "simulate", "1")


def test_two_workers_give_what_one_gives(folder: Path, expected: str) -> None:
    assert len(expected) == 64
    assert digest_by(folder, "two", "simulate", "2") == expected
    one, two = (read_results(folder / name) for name in ("one", "two"))
    assert [row.identity for row in one.rows] == [row.identity for row in two.rows]
    assert one.is_complete
    assert one.digest == expected
    assert json.loads((folder / "two" / "campaign.json").read_text())["digest"] == expected


def test_a_worker_that_is_killed_changes_nothing(folder: Path, expected: str) -> None:
    with terminal(folder, "killed", *start(folder, "killed", "slow_simulate", "2")) as one:
        one.wait_for_rows(9)
        victims = one.workers()
        assert len(victims) == 2, victims
        os.kill(victims[0], signal.SIGKILL)
        assert one.end() == 0, one.said()
        assert one.is_empty()
        assert one.output.read_text().strip() == expected


def test_an_interrupt_keeps_the_rows_and_the_next_run_does_the_rest(
    folder: Path, expected: str
) -> None:
    name = "interrupted"
    with terminal(folder, name, *start(folder, name, "slow_simulate", "2")) as one:
        one.wait_for_rows(9)
        # As a terminal does it: to every process of the group.
        os.killpg(one.process.pid, signal.SIGINT)
        assert one.end() == 130, one.said()
        assert one.is_empty()
        assert "Traceback" not in one.said()
    kept = read_results(folder / name)
    assert 9 <= len(kept.rows) < kept.jobs
    assert kept.digest is None
    assert digest_by(folder, name, "slow_simulate", "2") == expected
    rows = {row.identity: row.figures for row in read_results(folder / name).rows}
    for row in kept.rows:
        # The CPU time of the stand-in differs in each run: these rows were not done again.
        assert repr(rows[row.identity]) == repr(row.figures)


def test_a_campaign_that_is_killed_is_resumed(folder: Path, expected: str) -> None:
    with terminal(folder, "dead", *start(folder, "dead", "slow_simulate", "1")) as one:
        one.wait_for_rows(5)
        one.kill()
    with (folder / "dead" / "rows.csv").open("ab") as file:
        file.write(b"0123456789abcdef,3,epid")
    assert digest_by(folder, "dead", "simulate", "1") == expected


def test_no_port_is_open_beyond_the_loopback(folder: Path) -> None:
    with terminal(folder, "ports", *start(folder, "ports", "slow_simulate", "2")) as one:
        one.wait_for_rows(1)
        found = listening(one)
        assert found
        assert all(address == "0100007F" for address, _port in found), found
        assert 8787 not in {port for _address, port in found}
        os.kill(one.process.pid, signal.SIGINT)
        assert one.end() == 130, one.said()


def test_a_job_that_fails_has_a_row_that_says_why(tmp_path: Path) -> None:
    text = parts.CAMPAIGN.replace("{from = 3, count = 4}", "[4]").replace("[1.0, 0.5]", "1.0")
    write_campaign(tmp_path, text)
    # With one worker all others wait beside the job that ends it, and none may be blamed.
    digest = digest_by(tmp_path, "failing", "failing_simulate", "1")
    found = read_results(tmp_path / "failing")
    reasons = sorted(row.error for row in found.rows if row.figures is None)
    assert reasons == [
        "KilledWorker: each worker that ran this job ended with it",
        "TraceError: row 7: cannot be",
        "ValueError: a defect, in two lines",
    ]
    assert len(found.rows) == 6
    assert found.digest == digest
    # A failure is no result: the next run tries again.
    assert digest_by(tmp_path, "failing", "simulate", "1") != digest
    assert read_results(tmp_path / "failing").failed == 0


def test_an_error_that_cannot_be_sent_is_told(tmp_path: Path) -> None:
    text = parts.CAMPAIGN.split("[grid]")[0].replace("count = 4", "count = 1")
    write_campaign(tmp_path, text)
    digest_by(tmp_path, "odd", "odd_simulate", "1")
    (row,) = read_results(tmp_path / "odd").rows
    assert row.figures is None
    assert "much odd" in row.error


# --- a cluster that runs already ---------------------------------------------------------------


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, Terminal]]:
    """Start a scheduler as the page says; give its address."""
    dask = str(Path(sys.executable).with_name("dask"))
    command = (dask, "scheduler", "--host", "tcp://127.0.0.1", "--port", "0", "--no-dashboard")
    with terminal(folder, "scheduler", *command) as one:
        one.wait_until("Scheduler at:")
        yield one.said().split("Scheduler at:")[1].split()[0], one


@contextmanager
def worker(folder: Path, address: str) -> Iterator[Terminal]:
    """Start workers as the page says."""
    dask = str(Path(sys.executable).with_name("dask"))
    command = (dask, "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard")
    with terminal(folder, "worker", *command) as one:
        yield one


def test_a_cluster_given_by_its_address_gives_the_same(folder: Path, expected: str) -> None:
    with scheduler(folder) as (address, _), worker(folder, address):
        assert digest_by(folder, "remote", "simulate", address) == expected


def test_a_scheduler_that_ends_is_told_and_the_rows_stay(folder: Path, expected: str) -> None:
    with scheduler(folder) as (address, chief), worker(folder, address):
        command = start(folder, "left", "slow_simulate", address)
        with terminal(folder, "left", *command) as one:
            one.wait_for_rows(3)
            os.kill(chief.process.pid, signal.SIGKILL)
            assert one.end() == 2, one.said()
            assert "CampaignError: campaign, cluster: the scheduler does not answer" in one.said()
    assert len(read_results(folder / "left").rows) >= 3
    assert digest_by(folder, "left", "simulate", "1") == expected


def test_a_connection_that_breaks_while_a_result_comes_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_future: Future[object], timeout: float) -> object:
        raise CommClosedError("connection reset by peer")

    monkeypatch.setattr(Future, "result", broken)
    campaign = load_campaign(folder / "campaign.toml")
    with pytest.raises(CampaignError, match="the scheduler does not answer any more"):
        run_campaign(campaign, folder / "broken", parts.simulate, cluster=ClusterPlan(workers=1))


def test_a_scheduler_that_is_not_there_is_told(folder: Path) -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody answers, and nobody else can take the port.
        taken.bind(("127.0.0.1", 0))
        where = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with terminal(folder, "none", *start(folder, "none", "simulate", where)) as one:
            assert one.end() == 2, one.said()
            assert "no scheduler answers: start one with 'dask scheduler'" in one.said()


@pytest.mark.parametrize("address", ["here:8786", "http://here:1", "tcp://here", "tcp://:8786"])
def test_what_is_no_address_is_told(address: str) -> None:
    with (
        pytest.raises(CampaignError, match="is no address of a scheduler"),
        connected(ClusterPlan(scheduler=address)),
    ):
        raise AssertionError("there is no cluster")


def targets(pid: int) -> Iterator[str]:
    """Yield what the descriptors of a process stand for."""
    # A file may be closed meanwhile, and the process end; what listens for long is there.
    with suppress(FileNotFoundError, ProcessLookupError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                yield os.readlink(link)


def listening(one: Terminal) -> list[tuple[str, int]]:
    """Return hexadecimal address and port of each socket that a session listens on."""
    inodes = set()
    for pid in one.members():
        for target in targets(pid):
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                address, port = words[1].split(":")
                found.append((address, int(port, 16)))
    return found
