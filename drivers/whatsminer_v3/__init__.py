"""MicroBT Whatsminer, API version 3 on port 4433."""

from __future__ import annotations
