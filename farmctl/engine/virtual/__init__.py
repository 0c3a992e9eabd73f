"""A day in virtual time: the real core against modelled devices and a modelled meter, with idle time skipped."""
