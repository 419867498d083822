"""Runs a small campaign in a process of its own, as a person would: prints its digest.

`python -m tests.sims.campaign.driving FOLDER OUTPUT STAND_IN WORKERS_OR_ADDRESS`; the trace and the
campaign file lie in FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path

from protocol.errors import MeshError
from sims.campaign.cluster import ClusterPlan
from sims.campaign.reading import load_campaign
from sims.campaign.runner import Progress, run_campaign
from tests.sims.campaign import parts


def show(progress: Progress) -> None:
    """Say how far it is, to whoever waits for it."""
    assert 0 <= progress.done <= progress.total
    print(f"done {progress.done}", file=sys.stderr, flush=True)


def main() -> int:
    """Run what the command line says; return the exit code."""
    folder, output, stand_in, where = sys.argv[1:]
    plan = ClusterPlan(scheduler=where) if "://" in where else ClusterPlan(workers=int(where))
    campaign = load_campaign(Path(folder) / "campaign.toml")
    simulate = getattr(parts, stand_in)
    try:
        found = run_campaign(campaign, Path(output), simulate, cluster=plan, watch=show)
    except MeshError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(found.digest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
