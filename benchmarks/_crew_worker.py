"""`farmctl run` for the chaos: as it is, or with the deadline check left out, to see the laws broken without it."""

from __future__ import annotations

import sys

from typing_extensions import override

from farmctl.cli import main
from farmctl.store.leases import Lease, LeaseKeeper
from farmctl.wiring import crew


class Unchecked(LeaseKeeper):
    """Sends whatever it ever held."""

    @override
    def may_send(self, lease: Lease) -> bool:
        return True


if __name__ == "__main__":
    if sys.argv[1] == "--unchecked":
        del sys.argv[1]
        crew.LeaseKeeper = Unchecked  # type: ignore[attr-defined]
    main()
