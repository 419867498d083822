"""The check of a gateway's archive."""

from __future__ import annotations

from meshnode.doctor.findings import Facts, Finding, Level

__all__ = ["check_archive"]


def check_archive(facts: Facts) -> Finding:
    """What was taken in gets into the archive, and what is over is destroyed."""
    if not isinstance(facts.status, dict):
        return Finding("archive", Level.UNKNOWN, "The archive cannot be looked at yet")
    archive = facts.status.get("archive")
    if archive is None:
        return Finding("archive", Level.OK, "This device keeps no archive")
    # Imported here: only a gateway has a spool, and what knows it loads the database.
    from meshnode.store.spool import SHED_PCT

    waiting = archive["waiting"]
    if archive["is_shut"]:
        return Finding(
            "archive",
            Level.WARN,
            f"Nothing is archived and nothing is purged while the device is locked; {waiting} wait",
            "Run 'meshnode unlock'; it locks by itself only where [gateway] auto_lock_s says so",
        )
    if archive["faults"]:
        fix = "What was taken in is kept; 'meshnode gateway status' shows how much waits"
        return Finding("archive", Level.FAIL, archive["faults"][0], fix)
    if 100 * archive["waiting_bytes"] >= min(SHED_PCT.values()) * archive["waiting_bytes_max"]:
        return Finding(
            "archive",
            Level.WARN,
            f"The archive is so far behind that bundles are refused; {waiting} wait",
            "Give the database room and time, or raise [gateway] spool_bytes_max",
        )
    return Finding("archive", Level.OK, f"The archive works; {waiting} wait for it")
