"""Numbers on the command line: Python reads `nan` and `inf` as numbers too, and no order means those."""

from __future__ import annotations

import math
from typing import Any

import click
from typing_extensions import override

LARGEST_KW = 1e9
"""As the control API has it: what is larger is a slip of the hand."""


class Figure(click.FloatRange):
    """A finite number of a range."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; a usage error for anything else."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value}: expected a finite number", param, ctx)
        return number
