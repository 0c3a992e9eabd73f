"""`python -m configs.grafana.generate` writes the dashboards and the alert rules for Grafana anew."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from configs.grafana.alerting import provisioned
from configs.grafana.boards_controller import ALARMS, CONTROLLER
from configs.grafana.boards_fleet import FLEET, POOLS, THERMAL
from configs.grafana.boards_site import DISPATCH, WALL

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus" / "rules"
BOARDS = (WALL, DISPATCH, FLEET, THERMAL, POOLS, CONTROLLER, ALARMS)


def generated() -> dict[Path, str]:
    """Every generated file and what it must hold."""
    boards = {
        HERE / "dashboards" / f"{board.uid}.json": json.dumps(board.json(), indent=1, ensure_ascii=False) + "\n"
        for board in BOARDS
    }
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(RULES.glob("*.yml"))]
    return boards | {HERE / "provisioning" / "alerting" / "farmctl.yaml": provisioned(documents)}


def main() -> None:
    """Write them."""
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(HERE))


if __name__ == "__main__":
    main()
