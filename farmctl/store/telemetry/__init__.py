"""Telemetry of every miner in SQLite files by day: packed pages first, tiles of an hour once it is over."""
