from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers._wire.cgminer import MiningProcessDownError, parse_reply
from drivers._wire.json_repair import _mend_marks, _Mender, repair
from farmctl.errors import MalformedReplyError

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(st.text(), JSON_VALUES, max_size=5) | st.lists(JSON_VALUES, max_size=5)

BROKEN = [
    ("a brace after a comma", '{"a":1,"b":{"c":2,},}', {"a": 1, "b": {"c": 2}}),
    ("a raw newline in a string", '{"a":"x\ny"}', {"a": "x\ny"}),
    ("newlines between members", '{\n"a":1,\r\n"b":2\n}\n', {"a": 1, "b": 2}),
    ("no comma between objects", '{"STATS":[{"a":1}{"b":2}],"id":1}', {"STATS": [{"a": 1}, {"b": 2}], "id": 1}),
    ("a comma before the first row", '{"STATS":[,{"a":1}]}', {"STATS": [{"a": 1}]}),
    ("no comma before temp0", '{"a":"S""temp0":"0","b":1}', {"a": "S", "temp0": "0", "b": 1}),
    ("no comma after a number", '{"a":1 "temp0":2}', {"a": 1, "temp0": 2}),
    ("bare inf and nan", '{"a":inf,"b":-nan,"c":NaN,"d":-Infinity}', {"a": None, "b": None, "c": None, "d": None}),
    ("a word that is no number", '{"a":N/A,"b":1.}', {"a": None, "b": None}),
    ("a comma in place of the brace", ',"STATUS":"S","id":1}', {"STATUS": "S", "id": 1}),
    ("cut in a string", '{"a":1,"b":{"c":2,"d":"x', {"a": 1, "b": {"c": 2}}),
    ("cut in a number, which may be half a number", '{"a":1,"Power":34', {"a": 1}),
    ("cut after a key", '{"a":1,"Power"', {"a": 1}),
    ("cut after a colon", '{"a":1,"Power":', {"a": 1}),
    ("cut after a comma", '{"a":1,"Power":3417,', {"a": 1, "Power": 3417}),
    ("cut in a list of rows", '{"DEVS":[{"a":1},{"a":2,"b":', {"DEVS": [{"a": 1}, {"a": 2}]}),
    (
        "a list of pairs",
        '{"error_code":["110":"t1","600":"t2"],"id":1}',
        {"error_code": {"110": "t1", "600": "t2"}, "id": 1},
    ),
    ("a stray backslash", r'{"path":"C:\pool\u12"}', {"path": r"C:\pool\u12"}),
    (
        "the pool whose name held nan and inf",
        '{"URL":"poolbinance,}{inf\\"nan","a":1,}',
        {"URL": 'poolbinance,}{inf"nan', "a": 1},
    ),
]


@pytest.mark.parametrize(("text", "meant"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_broken_json_is_read_as_it_was_meant(text: str, meant: object) -> None:
    assert json.loads(repair(text)) == meant


@pytest.mark.parametrize(
    "text", ["", "   ", "<html>502", '"only text"', "1", "}", '{"a":1} tail', '{"a":b:c}', "[" * 100]
)
def test_what_holds_no_object_is_refused(text: str) -> None:
    with pytest.raises(MalformedReplyError):
        repair(text)


@given(DOCUMENTS, st.sampled_from([None, 1]))
def test_valid_json_keeps_its_meaning(document: object, indent: int | None) -> None:
    text = json.dumps(document, indent=indent)
    assert json.loads(repair(text)) == document


@given(st.dictionaries(st.text(), st.text(), min_size=1, max_size=5), st.integers(0, 200))
def test_a_cut_reply_loses_its_tail_and_nothing_else(members: dict[str, str], cut: int) -> None:
    text = json.dumps(members, ensure_ascii=False)
    kept = json.loads(repair(text[: max(1, cut)]))
    assert all(members[key] == value for key, value in kept.items())
    assert list(kept) == list(members)[: len(kept)]


@given(st.lists(st.text(), min_size=1, max_size=6))
def test_no_break_changes_the_text_of_a_string(texts: list[str]) -> None:
    strict = json.dumps({"rows": [{"text": text} for text in texts]}, ensure_ascii=False)
    inside = [json.dumps(text, ensure_ascii=False) for text in texts]
    broken = '{"rows":[,' + "".join(f'{{"text":{text},}}' for text in inside) + "],"
    assert json.loads(repair(broken)) == json.loads(strict)


@given(st.text(alphabet='{}[],:"\\ \n\x00an1.-e', max_size=60))
def test_noise_is_read_or_refused_and_never_anything_else(noise: str) -> None:
    try:
        mended = repair(noise)
    except MalformedReplyError:
        return
    assert isinstance(json.loads(mended), (dict, list))


@given(st.text(alphabet='{}[],:"\\ \n\x01an1.-e', max_size=60) | DOCUMENTS.map(json.dumps))
def test_the_quick_way_means_what_the_walk_over_the_tokens_means(text: str) -> None:
    quick = _mend_marks(text)
    if quick is not None:
        assert json.loads(quick) == json.loads(_Mender(text).mend())


@pytest.mark.parametrize(
    "text", ['{"S":[{"a":"x,}"}{"b":nan}],}', '{"S":[,{"a":"}{"}],"b":-inf}', '{"a":"S""temp0":"0"}']
)
def test_the_quick_way_mends_the_everyday_breaks(text: str) -> None:
    assert _mend_marks(text) is not None


@given(st.binary(max_size=80))
def test_any_bytes_are_an_object_or_a_malformed_reply(noise: bytes) -> None:
    try:
        reply = parse_reply(noise, "127.0.0.1:4028")
    except MalformedReplyError:
        return
    assert isinstance(reply, dict)


def test_the_relay_that_lost_btminer_is_told_from_noise() -> None:
    with pytest.raises(MiningProcessDownError, match="Connection refused"):
        parse_reply(b"Socket connect failed: Connection refused\n", "10.0.0.1:4028")
