"""`python -m farmctl.config.schema > configs/schemas/config.schema.json` writes the pinned JSON schema anew."""

from __future__ import annotations

import sys

from farmctl.config.schema.farm import schema_text

if __name__ == "__main__":
    sys.stdout.write(schema_text())
