"""The compose file: no engine here, so its structure is checked: what it mounts is there, and where it listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIGS = Path(__file__).parents[2] / "configs"
SITES_OWN = {
    "farm.toml",
    "secrets",
    "tls",
    "mosquitto/tls/ca.pem",
    "mosquitto/tls/broker.pem",
    "mosquitto/tls/broker.key",
}
"""What only a real site has."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((CONFIGS / "compose.yaml").read_text(encoding="utf-8"))
    return document


def test_the_demo_and_a_site_each_have_the_whole_stack(compose: dict[str, Any]) -> None:
    services = compose["services"]
    stack = {"prometheus", "alertmanager", "grafana"}
    for profile, ours in (("demo", {"demo"}), ("site", {"farmctl", "mosquitto"})):
        assert {name for name, service in services.items() if profile in service["profiles"]} == stack | ours


def test_every_mount_is_shipped_or_is_the_sites_own_and_read_only(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mount in service.get("volumes", ()):
            source, _, rest = mount.partition(":")
            if source in compose["volumes"]:
                continue
            path = source.removeprefix("./")
            assert rest.endswith(":ro")
            assert path in SITES_OWN or (CONFIGS / path).exists(), mount


def test_images_are_pinned_and_what_has_no_tls_listens_on_loopback(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["network_mode"] == "host"
        tag = service["image"].partition(":")[2]
        assert tag not in {"", "latest"}, name
    for name in ("prometheus", "alertmanager"):
        command = compose["services"][name]["command"]
        assert [word for word in command if word.startswith("--web.listen-address=127.0.0.1:")], name
    assert compose["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert not [mount for mount in compose["services"]["grafana"]["volumes"] if "alerting" in mount.partition(":")[0]]
