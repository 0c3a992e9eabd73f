"""Headquarters: many sites under one figure, as pure functions; no clock, no link, no dice."""
