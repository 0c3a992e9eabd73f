"""What the simulated dispatcher writes: signatures, OpenADR objects, the simple form, and traces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulators.grid import messages
from simulators.grid.ledger import Ledger, Live
from simulators.grid.messages import Envelope, Statement
from simulators.grid.orders import EventClass, Order, duration_text, time_text, uuid7
from simulators.grid.signing import Signer, seal, snapshot_hash
from simulators.grid.trace import Kind, Trace, TraceError
from simulators.traces import generate

TRACES = Path(generate.__file__).parent
OPENADR = Path(__file__).parents[2] / "../shared/openadr/openadr3-3.1.0.yaml"
SIGNER = Signer.from_seed(bytes(range(32)), kid="grid-op-2026-1")
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FULL_SIG = "mXnO4fPy7BU21nlfW+sbKmq7n11Ml4FzZtyWGkvqp/OtHFVtPIh7rw8sUB/X0PHrMhfLTMDZBd7sBIKMGFvHBw=="
SIMPLE_SIG = "zKxP6pOFRuVc/JTjpetQWc1Cgpl81wbzX13y3R6ydAPWQQgbp63pq/NlxmrfFAaUzGccGDddMYASFTheFfn5Cg=="

# The signature test vector of the contract: an import limit with a set-point below it.
VECTOR_ORDER = Order(
    target_kw=18_500.0,
    limit_kw=20_000.0,
    duration_s=300.0,
    lead_s=90.0,
    name="site-07 10:05",
    priority=10,
    respond_within_s=30,
    ramp_up_kw_per_min=2_000.0,
    tolerance_kw=500.0,
    on_expiry="SUBSCRIPTION",
    acks=("RECEIVED", "ACCEPTED", "REACHED", "COMPLETED"),
)
VECTOR_ENVELOPE = Envelope(
    issuer="grid-op",
    kid="grid-op-2026-1",
    epoch=3,
    seq=1_207,
    issued_at=datetime(2026, 11, 23, 10, 3, 30, tzinfo=UTC),
    msg_id="01a207dc-5550-7c3e-9a55-3f1d6b2c8e01",
)


def event_of(order: Order, envelope: Envelope = VECTOR_ENVELOPE) -> dict[str, Any]:
    return messages.event_object(
        order,
        envelope,
        event_id="ev-20261123-0042",
        programme_id="surplus-dispatch",
        site="site-07",
        created_at=envelope.issued_at,
    )


def test_the_contract_s_full_vector_is_reproduced_from_an_order() -> None:
    body = event_of(VECTOR_ORDER)
    del body["objectType"]  # the schema wants it, the vector leaves it out
    sealed = seal("grid/v1/grid-op/site-07/events/create", messages.notification("create", body), SIGNER)
    assert SIGNER.public_key == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    assert sealed["object"]["x-farmctl"]["sig"] == FULL_SIG


def test_the_contract_s_simple_vector_is_reproduced_from_a_statement() -> None:
    until = datetime(2026, 11, 23, 10, 10, tzinfo=UTC)
    statement = Statement(target_kw=18_500.0, limit_kw=20_000.0, valid_until=until)
    sealed = seal("grid/v1/grid-op/site-07/simple", messages.simple(statement, epoch=0, seq=1_207), SIGNER)
    assert sealed == {
        "v": 1,
        "targetKw": 18_500,
        "limitKw": 20_000,
        "validUntil": "2026-11-23T10:10:00Z",
        "seq": 1_207,
        "sig": SIMPLE_SIG,
    }


def test_a_signature_survives_the_wire_and_the_topic_is_part_of_it() -> None:
    body = messages.notification("create", event_of(VECTOR_ORDER))
    heard = json.loads(json.dumps(body))
    assert seal("a", heard, SIGNER) == seal("a", body, SIGNER)
    assert seal("b", heard, SIGNER) != seal("a", body, SIGNER)


def test_without_a_signer_there_is_no_signature() -> None:
    sealed = seal("t", messages.notification("create", event_of(VECTOR_ORDER)), None)
    assert "sig" not in sealed
    assert "sig" not in sealed["object"]["x-farmctl"]


def test_a_snapshot_has_one_hash_signed_or_not() -> None:
    snapshot = messages.snapshot(VECTOR_ENVELOPE, [event_of(VECTOR_ORDER)])
    changed = messages.snapshot(VECTOR_ENVELOPE, [])
    assert snapshot_hash(seal("t", snapshot, SIGNER)) == snapshot_hash(snapshot)
    assert snapshot_hash(changed) != snapshot_hash(snapshot)
    assert re.fullmatch(r"[0-9a-f]{64}", snapshot_hash(changed))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "PT0S"), (300, "PT5M"), (5_400, "PT1H30M"), (17.5, "PT17.5S"), (3_661, "PT1H1M1S"), (20, "PT20S")],
)
def test_durations_are_iso_8601(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_message_ids_are_uuid_version_7_with_the_time_in_front() -> None:
    text = uuid7(NOON)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text)
    assert int(text.replace("-", "")[:12], 16) == int(NOON.timestamp() * 1_000)
    assert uuid7(NOON) != text


def test_times_are_utc_with_z() -> None:
    assert time_text(NOON) == "2026-11-23T12:00:00Z"
    assert time_text(NOON + timedelta(milliseconds=250)) == "2026-11-23T12:00:00.250Z"


def test_an_order_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected target_kw, limit_kw or alert"):
        event_of(Order())
    with pytest.raises(ValueError, match="needs target_kw or limit_kw"):
        messages.simple(Statement(target_kw=None, limit_kw=None, valid_until=NOON), epoch=0, seq=1)


def test_zero_kw_is_a_limit_and_absent_is_none() -> None:
    body = messages.simple(Statement(target_kw=None, limit_kw=0.0, valid_until=NOON), epoch=2, seq=1)
    assert body == {"v": 1, "seq": 1, "epoch": 2, "validUntil": "2026-11-23T12:00:00Z", "limitKw": 0}


# ---------------------------------------------------------------- the official schema


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    if not OPENADR.is_file():
        pytest.skip("the OpenADR 3.1.0 schema is not beside the checkout")
    yaml = pytest.importorskip("yaml")
    loaded: dict[str, Any] = yaml.load(OPENADR.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    found: dict[str, Any] = loaded["components"]["schemas"]
    return found


JSON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def faults(value: Any, schema: dict[str, Any], schemas: dict[str, Any], where: str = "$") -> Iterator[str]:
    """The part of JSON Schema that the event objects of OpenADR 3.1.0 use."""
    if "$ref" in schema:
        yield from faults(value, schemas[schema["$ref"].rsplit("/", 1)[1]], schemas, where)
        return
    if value is None and schema.get("nullable"):
        return
    for part in schema.get("allOf", ()):
        yield from faults(value, part, schemas, where)
    if "anyOf" in schema and all(any(True for _ in faults(value, part, schemas)) for part in schema["anyOf"]):
        yield f"{where}: {value!r} fits none"
    if "type" in schema and not isinstance(value, JSON_TYPES[schema["type"]]):
        yield f"{where}: {value!r} is no {schema['type']}"
    elif isinstance(value, dict):
        yield from (f"{where}: {name} is missing" for name in schema.get("required", ()) if name not in value)
        for name in schema.get("properties", {}).keys() & value.keys():
            yield from faults(value[name], schema["properties"][name], schemas, f"{where}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), schemas, f"{where}[{index}]")
    else:
        yield from (f"{where}: {value!r} {fault}" for fault in scalar_faults(value, schema))


def scalar_faults(value: float | str | None, schema: dict[str, Any]) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"is not among {schema['enum']}"
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield "is too short or too long"
        if not re.search(schema.get("pattern", ""), value):
            yield f"does not match {schema['pattern']}"
        if schema.get("format") == "date-time":
            datetime.fromisoformat(value)
    elif value is not None and value < schema.get("minimum", value):
        yield f"is below {schema['minimum']}"


@pytest.mark.parametrize(
    "order",
    [
        VECTOR_ORDER,
        Order(target_kw=450.5, duration_s=17.5, priority=None),
        Order(limit_kw=0.0, randomize_s=30.0),
        Order(event_class=EventClass.EMERGENCY, alert="frequency", expires_in_s=900.0),
    ],
    ids=["vector", "target", "limit", "emergency"],
)
def test_events_satisfy_the_official_schema(order: Order, schemas: dict[str, Any]) -> None:
    event = event_of(order)
    assert list(faults(event, schemas["event"], schemas)) == []
    note = messages.notification("create", event)
    assert note["operation"] in schemas["notification"]["properties"]["operation"]["enum"]


def test_the_schema_check_finds_what_is_wrong(schemas: dict[str, Any]) -> None:
    event = event_of(VECTOR_ORDER)
    del event["programID"]
    event["priority"] = -1
    event["intervalPeriod"]["duration"] = "5 minutes"
    event["intervals"][0]["payloads"][0]["values"] = [None]
    assert len(list(faults(event, schemas["event"], schemas))) == 4


# ---------------------------------------------------------------- what is live


def live(order: Order, *, at: datetime = NOON) -> Live:
    starts_at = at + timedelta(seconds=order.lead_s)
    return Live(order=order, created_at=at, starts_at=starts_at, ends_at=messages.ends_at(order, at))


def test_a_statement_holds_the_newest_target_and_the_smallest_limit() -> None:
    ledger = Ledger(standing_kw=1_000.0)
    ledger.live["old"] = live(Order(target_kw=900.0, duration_s=60.0))
    ledger.live["new"] = live(Order(target_kw=500.0, duration_s=30.0), at=NOON + timedelta(seconds=5))
    ledger.live["limit"] = live(Order(limit_kw=700.0, duration_s=40.0))
    ledger.live["later"] = live(Order(limit_kw=100.0, lead_s=50.0))
    statement = ledger.statement(NOON + timedelta(seconds=10))
    assert statement is not None
    assert (statement.target_kw, statement.limit_kw, statement.event_class) == (500.0, 700.0, None)
    assert statement.valid_until == NOON + timedelta(seconds=37)


def test_with_nothing_running_the_standing_allocation_is_stated() -> None:
    statement = Ledger(standing_kw=1_000.0).statement(NOON)
    assert statement == Statement(target_kw=None, limit_kw=1_000.0, valid_until=NOON + timedelta(seconds=60))
    assert Ledger(standing_kw=None).statement(NOON) is None


def test_an_emergency_outlives_its_expiry_in_the_ledger_until_it_is_taken_out() -> None:
    ledger = Ledger(standing_kw=1_000.0)
    ledger.live["e"] = live(Order(event_class=EventClass.EMERGENCY, alert="now", expires_in_s=10.0))
    ledger.live["t"] = live(Order(target_kw=900.0, duration_s=10.0))
    later = NOON + timedelta(seconds=60)
    ledger.forget_ended(later)
    statement = ledger.statement(later)
    assert list(ledger.live) == ["e"]
    assert statement is not None
    assert (statement.limit_kw, statement.event_class) == (0.0, EventClass.EMERGENCY)


def test_an_ended_order_stays_listed_until_the_site_is_done_with_it() -> None:
    ledger = Ledger(standing_kw=None)
    ledger.live["t"] = live(Order(target_kw=900.0, duration_s=10.0))
    ended = NOON + timedelta(seconds=11)
    ledger.forget_ended(ended)
    assert list(ledger.live) == ["t"]
    ledger.forget_ended(ended, {"t"})
    assert ledger.live == {}


# ---------------------------------------------------------------- traces


def test_the_demo_trace_moves_often_and_stays_in_its_band() -> None:
    trace = Trace.load(TRACES / "surplus_day_demo.csv").scaled(rated_kw=1_000.0)
    targets = [row for row in trace.rows if row.order.target_kw is not None]
    assert len(targets) >= 5
    assert all(450 <= (row.order.target_kw or 0) <= 950 for row in targets)
    assert [row.order.limit_kw for row in trace.rows if row.order.limit_kw is not None] == [680.0]
    assert 60 <= trace.length_s <= 120
    ends = [row.end_s for row in targets]
    assert [row.t_s + row.order.lead_s for row in targets[1:]] == ends[:-1]


def test_the_shipped_day_is_what_its_generator_makes() -> None:
    assert (TRACES / "surplus_day.csv").read_text(encoding="utf-8") == generate.surplus_day()
    day = Trace.load(TRACES / "surplus_day.csv")
    assert sum(row.order.target_kw is not None for row in day.rows) == 288
    assert day.length_s == 86_400 + generate.LEAD_S


def test_a_trace_can_be_scaled_cut_and_sped_up() -> None:
    day = Trace.load(TRACES / "surplus_day.csv").scaled(rated_kw=2_000.0)
    quick = day.faster(60.0).until(100.0)
    assert day.rows[0].order.target_kw is not None
    assert 400 <= day.rows[0].order.target_kw <= 1_960
    assert (quick.rows[1].t_s, quick.rows[1].order.duration_s, len(quick.rows)) == (5.0, 5.0, 20)
    with pytest.raises(TraceError, match="rated kW"):
        Trace.load(TRACES / "surplus_day_demo.csv").scaled()


def test_every_fault_of_a_trace_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(
        "# a comment\nt_s,kind,name,target_kw,target_pu,class\n"
        "0,create,a,100,,TARGET\n1,create,b,x,,\n2,start,c,1,,\n3,create,d,1,0.5,\n4,create,e,,,\n5,create,f/,1,,\n"
        "6,create,g,1,,HURRY\n,create,h,1,,\n",
        encoding="utf-8",
    )
    with pytest.raises(TraceError) as caught:
        Trace.load(path)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["4", "5", "6", "7", "8", "9", "10"]
    assert "target_kw 'x': expected a number" in lines[0]


def test_a_trace_with_an_unknown_column_or_a_dangling_name_is_refused(tmp_path: Path) -> None:
    unknown = tmp_path / "unknown.csv"
    unknown.write_text("t_s,kind,watts\n", encoding="utf-8")
    with pytest.raises(TraceError, match="unknown column 'watts'"):
        Trace.load(unknown)
    dangling = tmp_path / "dangling.csv"
    dangling.write_text("t_s,kind,name\n0,delete,a\n", encoding="utf-8")
    with pytest.raises(TraceError, match="no order named 'a'"):
        Trace.load(dangling)


def test_kw_traces_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "kw.csv"
    path.write_text("t_s,kind,name,limit_kw\n0,emergency,e,50\n9,release,e,\n", encoding="utf-8")
    trace = Trace.load(path).scaled(factor=2.0)
    assert [(row.kind, row.order.limit_kw) for row in trace.rows] == [(Kind.EMERGENCY, 100.0), (Kind.RELEASE, None)]
    assert replace(trace, rows=()).length_s == 0.0
