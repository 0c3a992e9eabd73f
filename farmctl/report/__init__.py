"""Event, day and month reports, recomputed from the journal alone: same records, same bytes."""
