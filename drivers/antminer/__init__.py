"""Stock Antminers: polled over port 4028, commanded and questioned over digest CGI pages."""

from __future__ import annotations
