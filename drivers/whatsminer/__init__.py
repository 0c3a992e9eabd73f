"""MicroBT Whatsminer, API version 2 on port 4028."""

from __future__ import annotations
