"""The ways that a message travels; strangers to each other."""
