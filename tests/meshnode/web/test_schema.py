"""The interface asked what its own description says, by schemathesis: no answer breaks it.

Few examples for each route, and the same ones each time. The node behind it is a real one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)
from trio.testing import MockClock

from meshnode.web.gate import EVENTS_PATH, FILES_PATH
from meshnode.web.routes.table import ROUTES
from tests.meshnode.web.screens import BASE, open_screens

EXAMPLES = 3
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
BY_HAND = {("get", EVENTS_PATH), ("post", FILES_PATH)}
"""A stream has no end (test_streams.py), and a form is not what httpx makes of one that is wrong
(test_routes.py)."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.repeating,
    # What is refused is not read to its end, which the client in this process does not like.
    pytest.mark.filterwarnings(
        "ignore:.*object ByteStream:pytest.PytestUnraisableExceptionWarning"
    ),
]


def gathered(description: dict[str, Any]) -> list[Any]:
    """Return requests that fit the description, and such that break it somewhere."""
    cases: list[Any] = []
    # Its types name what it was built with, which matters to nobody here.
    operations: Iterable[Any] = schemathesis.openapi.from_dict(description).get_all_operations()
    for found in operations:
        operation = found.ok()
        if (operation.method, operation.path) in BY_HAND:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(strategy)
            def gather(case: Any) -> None:
                cases.append(case)

            try:
                gather()
            except Unsatisfiable:
                # A route without parameters and body has nothing to be wrong.
                assert mode is GenerationMode.NEGATIVE
    return cases


def kwargs_of(case: Any) -> dict[str, Any]:
    """Return a request in the words of httpx."""
    sent: dict[str, Any] = case.as_transport_kwargs(base_url=BASE)
    sent.pop("cookies", None)
    if isinstance(sent.get("data"), bytes | str):
        sent["content"] = sent.pop("data")
    return sent


async def test_no_answer_breaks_the_description(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with open_screens(tmp_path) as screens:
        app = screens.gate.app
        assert isinstance(app, FastAPI)
        cases = gathered(app.openapi())
        asked = {(case.method, case.operation.path) for case in cases}
        assert len(asked) == len(ROUTES) - len(BY_HAND)
        await screens.api.shift_open(8)
        await screens.api.position(44.9, 6.6)
        await screens.api.send("bruno", "one")
        broken: list[str] = []
        async with await screens.program("operator") as program:
            for case in cases:
                request = program.build_request(**kwargs_of(case))
                request.read()
                answer = await program.send(request)
                try:
                    case.validate_response(answer, checks=CHECKS)
                except FailureGroup as failures:
                    broken += [f"{case.method} {case.path}: {each}" for each in failures.exceptions]
        assert broken == []
        # A wrong answer is seen.
        wrong = httpx.Response(200, json={"schema": 2}, request=request)
        wrong.elapsed = timedelta()
        status = next(each for each in cases if each.operation.path == "/api/status")
        with pytest.raises(FailureGroup):
            status.validate_response(wrong, checks=CHECKS)
        assert screens.metric("web_defects") == 0
