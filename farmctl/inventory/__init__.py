"""The miners of a site as data: CSV in and out, checks against the configuration, and ladders per model."""
