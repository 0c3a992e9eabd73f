"""The shipped JSON schemas are those of the models, fit what is said, and agree with the official OpenADR document."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from farmctl.ports.grid import Capability
from farmctl.signals._intake.desk import Route
from farmctl.signals._intake.verdict import Accepted, Refused
from farmctl.signals.schemas import file_name, schema_text, schemas
from farmctl.signals.uplink import (
    Offer,
    Sender,
    ack_json,
    capability_json,
    encoded,
    state_json,
    status_json,
    telemetry_json,
)
from farmctl.signals.uplink.reports import EVERY_MS, Reports, encoded_report, report_json
from tests.signals.dispatcher import site_state, telemetry
from tests.signals.openadr_peer import Contract
from tests.signals.schema_walk import faults
from tests.signals.test_uplink_json import ack
from tests.signals.words import SEED, Desk, JsonObject, event, heartbeat, note, signed, snapshot

FOLDER = Path(__file__).parents[2] / "configs" / "schemas"
SENDER = Sender(site="site-07", controller_id="ctl-a", seed=SEED)
FULL: JsonObject = {
    "priority": 10,
    "targets": ["site-07"],
    "eventName": "site-07 10:05",
    "createdDateTime": "2026-11-23T10:03:30Z",
    "modificationDateTime": "2026-11-23T10:03:30Z",
    "payloadDescriptors": [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}
    ],
    "reportDescriptors": [{"payloadType": "DEMAND", "readingType": "MEAN", "units": "KW", "repeat": -1}],
}


def spoken() -> dict[str, JsonObject]:
    """One message of each kind, as it goes over the wire."""
    body = event(1, **FULL)
    withdrawal = {"id": "ev-1", "programID": "surplus-dispatch", "x-farmctl": body["x-farmctl"]}
    offer = Offer(sources=("openadr3.1",), signed=True, payload_types=("SIMPLE",))
    able = Capability(
        at_ms=0,
        rated_w=25e6,
        safe_min_w=0,
        failsafe_limit_w=4e6,
        subscription_w=4e6,
        down_w_in_s={5: 9e6},
        up_w_in_s={60: float("nan")},
        ramp_up_w_per_s=1.0,
    )
    keys = {"v": 1, "issuer": "grid-op", "kid": "k", "issuedAt": "2026-11-23T10:03:30Z", "keys": [], "revoked": ["x"]}
    held = {
        "v": 1,
        "issuer": "grid-op",
        "kid": "k",
        "issuedAt": "2026-11-23T10:03:30Z",
        "outbox": "b",
        "held": [[0, 7]],
    }
    up: dict[str, Any] = {
        "ack": ack_json(ack(), SENDER, {"id": "5f0c", "no": 7}),
        "telemetry": telemetry_json(telemetry(hz=50.0), SENDER),
        "state": state_json(site_state(), SENDER, 1),
        "capability": capability_json(able, offer, SENDER, 1),
        "status": status_json("ONLINE", SENDER, 0),
    }
    return {
        "event": signed(Route.CREATE, note(body)),
        "event-delete": signed(Route.DELETE, note(withdrawal, "DELETE")),
        "snapshot": signed(Route.SNAPSHOT, snapshot(2, body)),
        "heartbeat": signed(Route.HEARTBEAT, heartbeat(1, seq=2, of={})),
        "keys": signed(Route.KEYS, keys),
        "held": signed(Route.HELD, held),
        "simple": {"v": 1, "seq": 1, "limitKw": 5.5, "validUntil": "2026-11-23T10:10:00Z", "sig": "x"},
        "compat": {"target": 0, "timestamp": 1_795_428_322},
        **{name: json.loads(encoded(body, topic="t", sender=SENDER)) for name, body in up.items()},
        "report": report(),
    }


def report() -> JsonObject:
    reports = Reports()
    reports.ask("ev-1", ("DEMAND", "USAGE", "SETPOINT", "OPERATING_STATE", "UP_REGULATION_AVAILABLE", "UNHEARD_OF"))
    made: list[JsonObject] = []
    for second in range(0, EVERY_MS // 1_000 + 1, 2):
        seen = telemetry(at_ms=1_795_428_300_000 + second * 1_000, power_w=18e6)
        for event_id, values, start, end in reports.sample(seen):
            body = report_json(event_id, values, (start, end), SENDER, 7)
            made.append(json.loads(encoded_report(body, topic="site/v1/site-07/report", sender=SENDER)))
    assert len(made) == 1
    return made[0]


def test_the_shipped_schemas_are_pinned() -> None:
    """Regenerate: python -m farmctl.signals.schemas configs/schemas."""
    for name, schema in schemas().items():
        assert (FOLDER / file_name(name)).read_text(encoding="utf-8") == schema_text(schema), name
    shipped = {file.name for file in FOLDER.glob("*.schema.json")}
    assert shipped >= {file_name(name) for name in schemas()}


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_message_fits_its_schema_and_no_other_kind_of_message_does(name: str) -> None:
    schema, messages = dict(schemas()[name]), spoken()
    assert faults(schema, messages[name]) == []
    assert faults(schema, {}) != []
    others = {other for other, body in messages.items() if other != name and faults(schema, body) == []}
    assert others <= ({"snapshot", "held"} if name == "keys" else set())  # it has all that a keys message must have


def test_what_a_schema_forbids_the_checks_refuse_too() -> None:
    schema = dict(schemas()["event"])
    changes: list[tuple[tuple[Any, ...], Any]] = [
        (("object", "id"), ""),
        (("object", "priority"), -1),
        (("object", "intervals"), []),
        (("object", "intervals", 0, "payloads"), []),
        (("object", "x-farmctl", "seq"), -1),
        (("object", "x-farmctl", "seq"), "1"),
        (("object", "x-farmctl", "class"), "URGENT"),
        (("object", "x-farmctl", "msgId"), "7"),
        (("object", "x-farmctl", "issuedAt"), "yesterday"),
        (("object", "x-farmctl", "respondWithinS"), 3601),
        (("object", "x-farmctl", "toleranceKw"), -0.1),
    ]
    for path, value in changes:
        payload = copy.deepcopy(note(event(1)))
        holder: Any = payload
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value
        assert faults(schema, payload), path
        assert isinstance(Desk().hears(Route.CREATE, payload), Refused), path


def test_events_and_reports_are_plain_openadr_with_one_more_object() -> None:
    contract = Contract()
    body = event(1, **FULL)
    assert contract.check_request("POST", "/events", body) == []
    assert isinstance(Desk().creates(body), Accepted)
    made = report()
    assert contract.check_request("POST", "/reports", made) == []
    payloads = made["resources"][0]["intervals"][0]["payloads"]
    values = {payload["type"]: payload["values"] for payload in payloads}
    assert (values["DEMAND"], values["USAGE"], values["SETPOINT"]) == ([18000.0], [300.0], [18500.0])
    assert values["UP_REGULATION_AVAILABLE"] == [18250.0]
    assert values["DATA_QUALITY"] == ["OK"]


def test_a_gap_in_the_telemetry_is_not_filled_in_a_report() -> None:
    reports = Reports()
    reports.ask("ev-1", ("USAGE",))
    assert reports.sample(telemetry(at_ms=0, power_w=1e6)) == []
    due = reports.sample(telemetry(at_ms=EVERY_MS, power_w=1e6))
    assert [values for _, values, _, _ in due] == [[{"type": "DATA_QUALITY", "values": ["OK"]}]]
    reports.forget("ev-1")
    assert reports.sample(telemetry(at_ms=3 * EVERY_MS)) == []
