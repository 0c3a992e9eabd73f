from __future__ import annotations

import math

import pytest

from farmctl.errors import ConfigError
from farmctl.meters.registers import Quantity, ReadFunction, Register, RegisterType, WordOrder, blocks_of, decode


def register(  # noqa: PLR0913 - a row of a table
    kind: RegisterType = RegisterType.I32,
    order: WordOrder = WordOrder.HIGH_FIRST,
    *,
    name: Quantity = Quantity.KW,
    unit_id: int = 1,
    address: int = 0,
    scale: float = 1.0,
    unit: str = "W",
    sign: int = 1,
) -> Register:
    return Register(
        name=name,
        unit_id=unit_id,
        function=ReadFunction.INPUT,
        address=address,
        type=kind,
        word_order=order,
        scale=scale,
        unit=unit,
        sign=sign,
        min=-1e9,
        max=1e9,
    )


@pytest.mark.parametrize(
    ("kind", "order", "words", "value"),
    [
        (RegisterType.I16, WordOrder.HIGH_FIRST, [0x0001], 1),
        (RegisterType.I16, WordOrder.HIGH_FIRST, [0xFFFE], -2),
        (RegisterType.U16, WordOrder.HIGH_FIRST, [0xFFFE], 65_534),
        (RegisterType.I32, WordOrder.HIGH_FIRST, [0x0001, 0x0002], 65_538),
        (RegisterType.I32, WordOrder.LOW_FIRST, [0x0001, 0x0002], 131_073),
        (RegisterType.I32, WordOrder.HIGH_FIRST, [0xFFFF, 0xFFFE], -2),
        (RegisterType.I32, WordOrder.LOW_FIRST, [0xFFFE, 0xFFFF], -2),
        (RegisterType.U32, WordOrder.HIGH_FIRST, [0xFFFF, 0xFFFE], 4_294_967_294),
        (RegisterType.F32, WordOrder.HIGH_FIRST, [0x4B18, 0x9680], 10_000_000),
        (RegisterType.F32, WordOrder.LOW_FIRST, [0x9680, 0x4B18], 10_000_000),
        (RegisterType.I64, WordOrder.HIGH_FIRST, [0, 1, 0, 2], 4_294_967_298),
        (RegisterType.I64, WordOrder.LOW_FIRST, [2, 0, 1, 0], 4_294_967_298),
    ],
)
def test_words_become_a_number(kind: RegisterType, order: WordOrder, words: list[int], value: float) -> None:
    assert decode(register(kind, order), words) == value


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (RegisterType.I16, [0x8000]),
        (RegisterType.I16, [0xFFFF]),
        (RegisterType.U16, [0x8000]),
        (RegisterType.U16, [0xFFFF]),
        (RegisterType.I32, [0x8000, 0x0000]),
        (RegisterType.I32, [0x8000, 0x8000]),
        (RegisterType.U32, [0xFFFF, 0xFFFF]),
        (RegisterType.F32, [0x7FC0, 0x0000]),
        (RegisterType.F32, [0x7F80, 0x0000]),
        (RegisterType.F32, [0x8000, 0x8000]),
        (RegisterType.I64, [0x8000, 0, 0, 0]),
    ],
)
def test_a_sentinel_is_no_value_in_either_word_order(kind: RegisterType, words: list[int]) -> None:
    assert math.isnan(decode(register(kind), words))
    assert math.isnan(decode(register(kind, WordOrder.LOW_FIRST), words[::-1]))


def test_minus_zero_is_a_value_and_not_the_sentinel_of_an_integer() -> None:
    assert decode(register(RegisterType.F32), [0x8000, 0x0000]) == 0


@pytest.mark.parametrize(
    ("name", "unit", "scale", "sign", "raw", "value"),
    [
        (Quantity.KW, "kW", 1.0, 1, 72, 72_000),
        (Quantity.KW, "kW", 0.1, -1, -720, 72_000),
        (Quantity.KW, "MW", 0.001, 1, 72, 72_000),
        (Quantity.KW, "W", 10.0, -1, 72, -720),
        (Quantity.VOLTS, "kV", 0.1, 1, 331, 33_100),
        (Quantity.HZ, "mHz", 1.0, 1, 49_980, 49.98),
        (Quantity.KWH_IMPORT, "kWh", 0.001, 1, 1_000, 3_600_000),
    ],
)
def test_scale_sign_and_unit_give_si(
    name: Quantity, unit: str, scale: float, sign: int, raw: int, value: float
) -> None:
    words = [(raw >> 16) & 0xFFFF, raw & 0xFFFF]
    assert decode(register(name=name, unit=unit, scale=scale, sign=sign), words) == pytest.approx(value)


def test_too_few_words_are_refused() -> None:
    with pytest.raises(ValueError, match="1 words, expected 2"):
        decode(register(RegisterType.F32), [1])


def test_neighbours_are_read_together_and_gaps_are_never_bridged() -> None:
    registers = (
        register(RegisterType.F32, name=Quantity.VOLTS, unit="V", address=0),
        register(RegisterType.F32, name=Quantity.HZ, unit="Hz", address=2),
        register(RegisterType.F32, address=10),
        register(RegisterType.I64, name=Quantity.KWH_IMPORT, unit="Wh", address=12),
        register(RegisterType.I16, name=Quantity.KVAR, unit="kvar", unit_id=2, address=4),
    )
    blocks = blocks_of(registers)
    assert [(block.unit_id, block.address, block.count) for block in blocks] == [(1, 10, 6), (1, 0, 4), (2, 4, 1)]
    assert blocks[0].registers[0].name is Quantity.KW


@pytest.mark.parametrize(
    "registers",
    [(), (register(name=Quantity.HZ, unit="Hz"),), (register(), register(address=4))],
    ids=["none", "no_kw", "kw_twice"],
)
def test_a_meter_needs_one_register_for_kw(registers: tuple[Register, ...]) -> None:
    with pytest.raises(ConfigError, match="kw among them"):
        blocks_of(registers)


def test_a_register_that_cannot_be_read_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="register kw: unit 'V'"):
        register(unit="V")
    with pytest.raises(ConfigError, match="register kw: sign 0"):
        register(sign=0)
    with pytest.raises(ConfigError, match="register kw: scale 0"):
        register(scale=0.0)
