"""The OpenAPI document against the running server: every path, over TLS, with what schemathesis invents."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from farmctl.control import openapi
from farmctl.control.routes import ROUTES
from tests.control.glasshouse import Glasshouse
from tests.control.remote import Listener, listener
from tests.control.test_control_sites import programme

schemathesis = pytest.importorskip("schemathesis")
positive_data_acceptance = pytest.importorskip("schemathesis.specs.openapi.checks").positive_data_acceptance

INVENTED = 6
"""Requests per operation: a night's run takes more, a commit's a second each."""


def test_every_route_has_one_operation_and_every_reference_is_there() -> None:
    told = openapi.document()
    operations = [operation for path in told["paths"].values() for operation in path.values()]
    assert sorted(o["operationId"] for o in operations) == sorted(route.name for route in ROUTES)
    assert set(_references(told)) <= {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}


async def test_the_server_keeps_to_its_document(house: Glasshouse, door: Path, tmp_path: Path) -> None:
    """A site that has an alarm, an event, an override, a lease and a job, so that lists have something in them."""
    house.day.event("evening", setpoint_w=0.5 * house.day.rated_w)
    house.day.farm.silent[:10] = True
    house.run(200)
    house.programme = programme(house.clock.now_ms())
    there = listener(tmp_path, house.clock.now_ms())
    token = there.token("ada", "engineer")
    async with house.server(door, there.remote).listening():
        asked = await asyncio.to_thread(_tried, there, token)
    assert asked.keys() == {route.name for route in ROUTES if route.name != "watch"}
    assert all(asked.values())


def _tried(there: Listener, token: str) -> dict[str, int]:
    """Requests per operation; raises where an answer is not as the document says."""
    schema = schemathesis.openapi.from_dict(openapi.document())
    asked: dict[str, int] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        name = operation.definition.raw["operationId"]
        if name != "watch":  # a stream does not end
            asked[name] = _tried_one(operation, there, token)
    return asked


def _tried_one(operation: Any, there: Listener, token: str) -> int:
    made = []

    @settings(
        max_examples=INVENTED, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def one(case: Any) -> None:
        made.append(case)
        case.call_and_validate(
            base_url=there.url,
            headers={"Authorization": f"Bearer {token}"},
            verify=str(there.ca_file),
            excluded_checks=[positive_data_acceptance],  # filters and sizes have grammars that no JSON schema tells
        )

    one()
    return len(made)


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        found = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return found + [ref for value in part.values() for ref in _references(value)]
    return [ref for value in part for ref in _references(value)] if isinstance(part, list) else []
