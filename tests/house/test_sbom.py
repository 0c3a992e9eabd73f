"""The bill of materials names what is installed, as it is locked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bill_of_materials_has_every_dependency_with_its_version_and_hashes() -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "sbom")], capture_output=True, text=True, check=False, timeout=60
    )
    assert made.returncode == 0, made.stderr
    bill = json.loads(made.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    by_name = {part["name"]: part for part in bill["components"]}
    assert {"aiomqtt", "uvloop", "numpy", "pydantic", "cryptography"} <= by_name.keys()
    assert all(part["hashes"] for part in by_name.values())
    assert by_name["uvloop"]["purl"] == f"pkg:pypi/uvloop@{by_name['uvloop']['version']}"
