"""The filter grammar against a row-by-row retelling of its rules."""

from __future__ import annotations

import math
import re
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmctl.control.filter import Columns, FilterError, Term, matching, parse

STATES = ("hashing", "curtailed", "fault", "offline")
WORDS = st.sampled_from(["C001", "C010", "C019", "C0100", "D010", "Antminer S21", "s21", "", "a.b", "[x]"])
NUMBERS = st.one_of(st.just(math.nan), st.integers(-5, 5).map(float))
ROWS = st.lists(st.tuples(st.sampled_from(STATES), WORDS, NUMBERS), min_size=0, max_size=12)
VALUES = st.sampled_from(
    ["fault", "C010", "c0*", "C010..C019", "C010..19", "s21", "FAULT,hashing", "?010", "[x]", "a.b"]
)


def columns(rows: list[tuple[str, str, float]]) -> Columns:
    return Columns(
        words={
            "id": np.array([f"m{number:03d}" for number in range(len(rows))], dtype=np.str_),
            "state": np.array([row[0] for row in rows], dtype=np.str_),
            "cont": np.array([row[1] for row in rows], dtype=np.str_),
        },
        numbers={"t": np.array([row[2] for row in rows], dtype=np.float64)},
    )


def word_fits(sign: str, value: str, word: str) -> bool:
    value, word = value.lower(), word.lower()
    if sign == "~":
        return value in word
    for part in value.split(","):
        bounds = re.fullmatch(r"(\D*)(\d+)\.\.(\D*)(\d+)", part)
        place = re.fullmatch(r"(\D*)(\d+)", word)
        if bounds and place and place[1] == bounds[1] and int(bounds[2]) <= int(place[2]) <= int(bounds[4]):
            return True
        if not bounds and (part == word or (any(c in part for c in "*?[") and fnmatchcase(word, part))):
            return True
    return False


@given(rows=ROWS, field=st.sampled_from(["state", "cont"]), sign=st.sampled_from(["=", "!=", "~"]), value=VALUES,
       bang=st.booleans())  # fmt: skip
def test_words_match_as_row_by_row(
    rows: list[tuple[str, str, float]], field: str, sign: str, value: str, *, bang: bool
) -> None:
    terms = parse(f"{'!' if bang else ''}{field}{sign}{value}")
    found = matching(terms, columns(rows)).tolist()
    wanted = []
    for row in rows:
        hit = word_fits("=" if sign == "!=" else sign, value, row[0] if field == "state" else row[1])
        wanted.append(hit != (bang != (sign == "!=")))
    assert found == wanted


@given(rows=ROWS, sign=st.sampled_from([">", ">=", "<", "<=", "="]), limit=st.integers(-5, 5), bang=st.booleans())
def test_an_unknown_number_fulfils_no_comparison(
    rows: list[tuple[str, str, float]], sign: str, limit: int, *, bang: bool
) -> None:
    found = matching(parse(f"{'!' if bang else ''}t{sign}{limit}"), columns(rows)).tolist()
    says = {
        ">": lambda t: t > limit, ">=": lambda t: t >= limit, "<": lambda t: t < limit,
        "<=": lambda t: t <= limit, "=": lambda t: t == limit,
    }  # fmt: skip
    assert found == [(not math.isnan(row[2]) and says[sign](row[2])) != bang for row in rows]


@given(rows=ROWS, texts=st.lists(st.sampled_from(["state=fault", "!cont=C0*", "t>0", "cont~s21", "m00*"]), max_size=4))
def test_every_term_must_hold(rows: list[tuple[str, str, float]], texts: list[str]) -> None:
    together = matching(parse(" ".join(texts)), columns(rows))
    apart = np.ones(len(rows), dtype=np.bool_)
    for text in texts:
        apart &= matching(parse(text), columns(rows))
    assert together.tolist() == apart.tolist()


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    found: object = None
    try:
        found = matching(parse(text), columns([("fault", "C001", 1.0)])).tolist()
    except FilterError as error:
        found = str(error)
    assert found in ([True], [False]) or str(found).startswith("filter")


@given(terms=st.lists(st.builds(Term, negated=st.booleans(), field=st.sampled_from(["state", "cont", "t"]),
                                sign=st.sampled_from(["=", "~", ">", "<="]), value=st.sampled_from(["a", "3", "x*"])),
                      max_size=5))  # fmt: skip
def test_a_term_reads_back_as_it_is_written(terms: list[Term]) -> None:
    assert parse("  ".join(term.text for term in terms)) == tuple(terms)


def test_the_grammar_of_the_manual() -> None:
    assert [term.text for term in parse('state=fault model~S21 t>85 cont=C041 !pool=eu1 model="Antminer S21"')] == [
        "state=fault", "model~S21", "t>85", "cont=C041", "!pool=eu1", "model=Antminer S21",
    ]  # fmt: skip
    assert parse("02:00:*") == (Term(negated=False, field="id", sign="=", value="02:00:*"),)
    assert parse("") == ()


@pytest.mark.parametrize(
    ("text", "place"), [("state=", 1), ("t>1 =x", 5), ('state=fault model="a', 13), ("t>>1 a=b=c ~", 12)]
)
def test_a_fault_names_its_place(text: str, place: int) -> None:
    with pytest.raises(FilterError, match=f"character {place}:"):
        parse(text)
