"""JSON schemas of every message of the MQTT contract, made from the models that read and write them.

`python -m farmctl.signals.schemas configs/schemas` writes the pinned files anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from farmctl.signals._intake.compat import CompatBody
from farmctl.signals._intake.held import HeldBody
from farmctl.signals._intake.keys import KeysMessage
from farmctl.signals._intake.notification import EventBody, Withdrawal
from farmctl.signals._intake.simple import SimpleBody
from farmctl.signals._intake.snapshot import HeartbeatBody, SnapshotBody
from farmctl.signals.uplink.bodies import (
    AckBody,
    CapabilityBody,
    ReportBody,
    StateBody,
    StatusBody,
    TelemetryBody,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SIGNED = {"sig": {"type": "string", "description": "Ed25519 over topic, 0x00 and RFC 8785 JSON without sig; base64"}}
_KID = {"kid": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Key that signed it"}}
_TRUST = {**_KID, **_SIGNED}
Schema = dict[str, Any]


def schemas() -> Mapping[str, Schema]:
    """Name of each message -> its schema, downlink and uplink."""
    read = {
        "event": _notification(EventBody),
        "event-delete": _notification(Withdrawal),
        "snapshot": _snapshot(),
        "heartbeat": _flat(HeartbeatBody, _TRUST),
        "keys": _flat(KeysMessage, _SIGNED),
        "held": _flat(HeldBody, _TRUST),
        "simple": _flat(SimpleBody, _TRUST),
        "compat": _flat(CompatBody, {}),
    }
    said = {
        "ack": AckBody,
        "telemetry": TelemetryBody,
        "state": StateBody,
        "capability": CapabilityBody,
        "status": StatusBody,
        "report": ReportBody,
    }
    whole = {**read, **{name: TypeAdapter(body).json_schema() for name, body in said.items()}}
    return {name: {"$schema": DIALECT, "$id": f"farmctl-{name}-v1", **_plain(schema)} for name, schema in whole.items()}


def schema_text(schema: Schema) -> str:
    """A schema as it is shipped."""
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def file_name(name: str) -> str:
    """Name of the file in configs/schemas."""
    return f"{name}.schema.json"


def _flat(model: Any, members: Schema) -> Schema:
    """A message whose header stands at the top; the signature is checked before the model sees it."""
    schema: Schema = TypeAdapter(model).json_schema(by_alias=True)
    schema["properties"] |= members
    return schema


def _notification(model: Any) -> Schema:
    """The envelope of an event, with the key and the signature in `x-farmctl`."""
    inner: Schema = TypeAdapter(model).json_schema(by_alias=True)
    defs = inner.pop("$defs")
    defs["Extension"]["properties"] |= _TRUST
    delete = model is Withdrawal
    defs[model.__name__] = inner
    return {
        "$defs": defs,
        "title": "DELETE of an event" if delete else "CREATE or UPDATE of an event",
        "type": "object",
        "required": ["objectType", "operation", "object"],
        "properties": {
            "objectType": {"const": "EVENT"},
            "operation": {"enum": ["DELETE"] if delete else ["CREATE", "UPDATE"]},
            "object": {"$ref": f"#/$defs/{model.__name__}"},
        },
    }


def _snapshot() -> Schema:
    """A snapshot lists events as they were sent, each with its own `x-farmctl`."""
    schema, event = _flat(SnapshotBody, _TRUST), _notification(EventBody)
    schema["properties"]["events"]["items"] = {"$ref": "#/$defs/EventBody"}
    return {**schema, "$defs": event["$defs"]}


def _plain(schema: Any) -> Any:
    """Without our own titles, and without defaults that are milliseconds here and text on the wire."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    text = schema.get("type") == "string"
    return {
        key: _plain(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
        and not (text and key == "default" and not isinstance(value, str))
    }


def _write(folder: Path) -> None:
    for name, schema in schemas().items():
        (folder / file_name(name)).write_text(schema_text(schema), encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
