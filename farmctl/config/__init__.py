"""The configuration file: its schema, its loader that lists every fault at once, and what is made of it."""
