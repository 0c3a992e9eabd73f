"""Watches of the shell: what no single cycle can see, looked at once a minute off the loop."""
