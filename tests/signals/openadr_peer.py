"""A VTN and a VEN in one place for these tests, and a walker over the official OpenAPI document."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from farmctl.core.grid import EventDelete, EventPut, GridEvent
from farmctl.signals._intake.permissions import IssuerRule
from farmctl.signals.openadr3 import OpenAdr3Config, OpenAdr3Source
from farmctl.signals.openadr3.config import Login
from simulators.vtn import Client, Vtn
from simulators.vtn.access import Role
from tests.signals.notebook import Notebook
from tests.signals.words import WallClock

yaml: Any = pytest.importorskip("yaml")
BL = Client(client_id="utility", secret="of-utility".upper(), role=Role.BL)
VEN = Client(client_id="site-07-client", secret="of-site".upper(), role=Role.VEN)
OFFICIAL = Path(__file__).parents[2] / ".." / "shared" / "openadr" / "openadr3-3.1.0.yaml"
JsonObject = dict[str, Any]


def config(url: str, **changes: Any) -> OpenAdr3Config:
    plain: JsonObject = {
        "name": "utility",
        "url": url,
        "site": "site-07",
        "ven_name": "ven-07",
        "issuer": IssuerRule(name="utility"),
        "rating_w": 25e6,
        "emergency_w": 300e3,
        "login": Login(client_id=VEN.client_id, client_secret=VEN.secret),
        "simple_levels_w": (25e6, 15e6, 5e6),
        "poll_s": 0.05,
        "notifications": False,
        "register": False,
    }
    return OpenAdr3Config(**{**plain, **changes})


def rfc(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def event(programme: str, *payloads: tuple[str, list[Any]], start_s: float = 0, **changes: Any) -> JsonObject:
    start = datetime.now(UTC) + timedelta(seconds=start_s)
    body = {
        "programID": programme,
        "eventName": "test",
        "intervalPeriod": {"start": rfc(start), "duration": "PT1H"},
        "intervals": [{"id": 0, "payloads": [{"type": t, "values": v} for t, v in payloads]}],
    }
    return {**body, **changes}


class Site:
    """A VEN on its way: what it told the site, and its source."""

    def __init__(self, vtn: Vtn, **changes: Any) -> None:
        self.vtn = vtn
        self.ledger = Notebook()
        self.source = OpenAdr3Source(config(vtn.url, **changes), WallClock())
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.source.run(self.ledger))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def put(self) -> list[GridEvent]:
        messages = [receipt.message for receipt in self.ledger.receipts]
        return [message.event for message in messages if isinstance(message, EventPut)]

    @property
    def deleted(self) -> list[str]:
        messages = [receipt.message for receipt in self.ledger.receipts]
        return [message.event_id for message in messages if isinstance(message, EventDelete)]

    async def polls(self, more: int = 2) -> None:
        """Wait for so many further good polls."""
        wanted = self.source.polls + more
        await until(lambda: self.source.polls >= wanted)


async def until(holds: Callable[[], object], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - another task's progress
            await asyncio.sleep(0.01)


class Contract:
    """The official document, walked by hand: required members, types, enumerations, patterns, lengths."""

    def __init__(self) -> None:
        if not OFFICIAL.exists():
            pytest.skip("openadr3-3.1.0.yaml is not beside the checkout")
        self.document = yaml.safe_load(OFFICIAL.read_text())

    def operation(self, method: str, path: str) -> JsonObject:
        """The operation whose template fits a path."""
        for template, operations in self.document["paths"].items():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in operations:
                found: JsonObject = operations[method.lower()]
                return found
        raise AssertionError(f"{method} {path} is not in the official document")

    def check_request(self, method: str, path: str, body: Any) -> list[str]:
        content = self.operation(method, path)["requestBody"]["content"]
        return self.faults(next(iter(content.values()))["schema"], body)

    def check_answer(self, method: str, path: str, status: int, body: Any) -> list[str]:
        answer = self._resolved(self.operation(method, path)["responses"][str(status)])
        return self.faults(answer["content"]["application/json"]["schema"], body)

    def faults(self, schema: JsonObject, value: Any, place: str = "$") -> list[str]:
        schema = self._resolved(schema)
        if value is None and schema.get("nullable"):
            return []
        found = [f for part in schema.get("allOf", ()) for f in self.faults(part, value, place)]
        for choice in ("oneOf", "anyOf"):
            options = [self.faults(option, value, place) for option in schema.get(choice, ())]
            if options and all(options):
                found.append(f"{place}: fits none of {choice}: {min(options, key=len)}")
        if "enum" in schema and value not in schema["enum"]:
            found.append(f"{place}: {value!r} is none of {schema['enum']}")
        return [*found, *self._typed(schema, value, place)]

    def _typed(self, schema: JsonObject, value: Any, place: str) -> list[str]:
        kinds: dict[str, Any] = {
            "object": dict,
            "array": list,
            "string": str,
            "boolean": bool,
            "integer": int,
            "number": (int, float),
        }
        kind = schema.get("type")
        if kind is None:
            return []
        if not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind in ("integer", "number")):
            return [f"{place}: {value!r} is no {kind}"]
        match kind:
            case "object":
                missing = [f"{place}.{name}: missing" for name in schema.get("required", ()) if name not in value]
                known = schema.get("properties", {})
                inner = [f for n, v in value.items() if n in known for f in self.faults(known[n], v, f"{place}.{n}")]
                return missing + inner
            case "array":
                return [f for n, v in enumerate(value) for f in self.faults(schema["items"], v, f"{place}.{n}")]
            case "string":
                return _text_faults(schema, value, place)
            case _:
                low = schema.get("minimum", float("-inf"))
                return [f"{place}: {value} is below {low}"] if value < low else []

    def _resolved(self, schema: JsonObject) -> JsonObject:
        while "$ref" in schema:
            at: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            schema = at
        return schema


def _text_faults(schema: JsonObject, value: str, place: str) -> list[str]:
    found = []
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 2**31):
        found.append(f"{place}: {len(value)} characters")
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        found.append(f"{place}: {value!r} does not fit {schema['pattern']}")
    if schema.get("format") == "date-time" and not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value):
        found.append(f"{place}: {value!r} is no date-time")
    return found
