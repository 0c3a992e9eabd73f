"""Grid in: one module or folder per source, strangers to one another; what they share is in `_intake`."""
