"""`python -m farmctl`."""

from __future__ import annotations

from farmctl.cli import main

if __name__ == "__main__":
    main()
