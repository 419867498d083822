"""Counters: declared, or a defect."""

from __future__ import annotations

import pytest

from meshnode.metrics import METRICS, Metrics
from protocol.reports import Reception


def test_counters_begin_at_zero_and_add_up() -> None:
    metrics = Metrics()
    assert set(metrics.snapshot()) == set(METRICS)
    assert set(metrics.snapshot().values()) == {0}
    metrics.count("messages_sent")
    metrics.count("messages_sent", 4)
    assert metrics.value("messages_sent") == 5
    assert metrics.snapshot()["messages_sent"] == 5
    assert list(metrics.snapshot()) == sorted(METRICS)


def test_an_undeclared_name_is_a_defect() -> None:
    with pytest.raises(AssertionError):
        Metrics().count("messages_lost")
    with pytest.raises(AssertionError):
        Metrics().value("messages_lost")


def test_every_fate_of_a_bundle_is_counted() -> None:
    assert {f"bundles_{fate.name.lower()}" for fate in Reception} <= set(METRICS)
    assert all(METRICS.values())
