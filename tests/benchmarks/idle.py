"""An idle node on a bridge of its own, where nobody else is heard; prints one line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.real.netns import Bridge

__all__ = ["measure"]

_PROGRAM = "import sys; from meshnode.cli.main import main; sys.exit(main())"


def measure(seconds: int) -> dict[str, Any]:
    """Run `meshnode bench idle` in a namespace with one interface; needs root."""
    command = [sys.executable, "-c", _PROGRAM, "bench", "idle", "--json", "--seconds", str(seconds)]
    # Measuring coverage would keep more in memory than the node does.
    unset = [word for name in os.environ if "COVERAGE" in name for word in ("-u", name)]
    with Bridge("idle", 1) as net:
        process = net.hosts[0].popen(["env", *unset, *command], stdout=subprocess.PIPE)
        out, _err = process.communicate(timeout=seconds + 120)
        assert process.returncode == 0, out.decode()
        found: dict[str, Any] = json.loads(out)
        return found


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
