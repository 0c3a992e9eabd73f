"""The driver to copy when adding a family."""

from __future__ import annotations
