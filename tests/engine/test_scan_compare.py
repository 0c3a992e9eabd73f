"""A scan beside the inventory, and what becomes of the inventory."""

from __future__ import annotations

from farmctl.core.model import MinerId
from farmctl.engine.scan import Diff, Found, Taking, diff, take
from farmctl.ports.devices import Endpoint, Identity
from farmctl.ports.store import InventoryRow


def found(miner: str, host: str, **ports: int) -> Found:
    who = Identity(miner_id=MinerId(miner), driver="luxos", model="S21", firmware="2", serial=f"sn-{miner}")
    return Found(identity=who, endpoint=Endpoint(host=host, ports=ports))


def row(miner: str, host: str, **ports: int) -> InventoryRow:
    return InventoryRow(
        miner_id=MinerId(miner),
        host=host,
        ports=ports,
        driver="luxos",
        model="S21",
        firmware="2",
        serial=f"sn-{miner}",
        circuit="C1",
        rack=f"rack-{miner}",
    )


def ids(each: tuple[Found, ...]) -> list[str]:
    return [one.identity.miner_id for one in each]


def taken(
    changes: Diff, known: list[InventoryRow], *, circuit: str | None = "C9", replace_lost: bool = False
) -> Taking:
    return take(changes, known, circuit=circuit, replace_lost=replace_lost)


def test_an_inventory_that_is_right_has_no_difference() -> None:
    known = [row("a", "10.0.0.1"), row("b", "10.0.0.2", api=4028, http=80)]
    changes = diff([found("a", "10.0.0.1", api=4028), found("b", "10.0.0.2")], known)
    assert changes.is_empty
    assert ids(changes.unchanged) == ["a", "b"]
    assert taken(changes, known).put == ()


def test_a_miner_that_moved_by_dhcp_is_the_same_miner() -> None:
    known = [row("a", "10.0.0.1")]
    changes = diff([found("a", "10.0.0.7")], known)
    assert [(m.known.host, m.found.endpoint.host) for m in changes.moved] == [("10.0.0.1", "10.0.0.7")]
    assert (changes.new, changes.missing, changes.swapped) == ((), (), ())
    moved = taken(changes, known).moved
    assert [(r.host, r.rack, r.circuit) for r in moved] == [("10.0.0.7", "rack-a", "C1")]


def test_another_port_is_another_place() -> None:
    changes = diff([found("a", "10.0.0.1", api=14028)], [row("a", "10.0.0.1")])
    assert len(changes.moved) == 1


def test_two_miners_that_swapped_addresses_are_told_from_moves() -> None:
    known = [row("a", "10.0.0.1"), row("b", "10.0.0.2"), row("c", "10.0.0.3")]
    changes = diff([found("b", "10.0.0.1"), found("a", "10.0.0.2"), found("c", "10.0.0.9")], known)
    assert {(m.known.miner_id, m.owner.miner_id if m.owner else "") for m in changes.swapped} == {
        ("a", "b"),
        ("b", "a"),
    }
    assert [m.known.miner_id for m in changes.moved] == ["c"]
    written = taken(changes, known)
    assert {r.miner_id: r.host for r in written.moved} == {"a": "10.0.0.2", "b": "10.0.0.1", "c": "10.0.0.9"}
    assert not written.held


def test_a_miner_is_missing_only_where_it_was_looked_for() -> None:
    known = [row("a", "10.0.0.1"), row("b", "10.9.0.1")]
    assert [r.miner_id for r in diff([], known, within={"10.0.0.1"}).missing] == ["a"]
    assert [r.miner_id for r in diff([], known).missing] == ["a", "b"]


def test_a_missing_miner_is_never_removed_for_being_silent() -> None:
    known = [row("a", "10.0.0.1")]
    written = taken(diff([], known), known, replace_lost=True)
    assert written.removed == ()


def test_one_id_at_two_places_is_a_doubt_and_not_a_move() -> None:
    known = [row("a", "10.0.0.2")]
    changes = diff([found("a", "10.0.0.1"), found("a", "10.0.0.2")], known)
    assert ids(changes.unchanged) == ["a"]
    assert [f.endpoint.host for f in changes.doubled] == ["10.0.0.1"]
    assert [h.found.endpoint.host for h in taken(changes, known).held] == ["10.0.0.1"]


def test_a_new_miner_goes_on_the_circuit_that_was_named() -> None:
    changes = diff([found("n", "10.0.0.1", api=14028)], [])
    (added,) = taken(changes, [], circuit="C7").added
    assert (added.circuit, added.host, dict(added.ports), added.serial) == ("C7", "10.0.0.1", {"api": 14028}, "sn-n")


def test_a_new_miner_without_a_circuit_is_held_back_because_run_would_refuse_it() -> None:
    changes = diff([found("n", "10.0.0.1")], [])
    written = taken(changes, [], circuit=None)
    assert written.put == ()
    assert "--circuit" in written.held[0].why


def test_a_newcomer_on_the_place_of_a_lost_miner_waits_for_a_word() -> None:
    known = [row("lost", "10.0.0.1")]
    changes = diff([found("n", "10.0.0.1")], known)
    held = taken(changes, known)
    assert (held.put, held.removed) == ((), ())
    assert "lost" in held.held[0].why
    written = taken(changes, known, replace_lost=True)
    assert [r.miner_id for r in written.removed] == ["lost"]
    assert [(r.miner_id, r.rack, r.circuit) for r in written.added] == [("n", "rack-lost", "C1")]


def test_one_held_back_holds_back_whoever_wants_its_place() -> None:
    known = [row("a", "10.0.0.1"), row("b", "10.0.0.2"), row("lost", "10.0.0.3")]
    changes = diff([found("a", "10.0.0.2"), found("b", "10.0.0.3")], known, within={"10.0.0.3"})
    written = taken(changes, known)
    assert {h.found.identity.miner_id for h in written.held} == {"a", "b"}
    assert written.put == ()


def test_a_scan_that_reads_less_than_is_known_wipes_nothing() -> None:
    known = [row("a", "10.0.0.1", api=4028)]
    less = Identity(miner_id=MinerId("a"), driver="luxos", model="", firmware="3", serial="")
    changes = diff([Found(identity=less, endpoint=Endpoint(host="10.0.0.1", ports={}))], known)
    (updated,) = taken(changes, known).updated
    assert (updated.model, updated.firmware, updated.serial, dict(updated.ports)) == ("S21", "3", "sn-a", {"api": 4028})
