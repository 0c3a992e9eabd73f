"""What the units, the compose file and the Kubernetes manifest start is said in farmctl's own words."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from farmctl.cli import cli
from farmctl.config.schema import FarmConfig
from farmctl.config.schema.kinds import Table

CONFIGS = Path(__file__).parents[2] / "configs"
ROLES = {"farmctl-worker.service": "worker", "farmctl-controller.service": "controller"}


def manifests() -> list[dict[str, Any]]:
    text = (CONFIGS / "kubernetes" / "workers.yaml").read_text(encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document]


def services() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((CONFIGS / "compose.yaml").read_text(encoding="utf-8"))
    return {name: each for name, each in document["services"].items() if each["image"].startswith("farmctl")}


def containers() -> Iterator[dict[str, Any]]:
    for manifest in manifests():
        yield from manifest["spec"]["template"]["spec"]["containers"]


def started() -> Iterator[tuple[str, list[str]]]:
    """Where a command stands, and its words without the program."""
    for unit in sorted((CONFIGS / "systemd").glob("*.service")):
        for line in unit.read_text(encoding="utf-8").splitlines():
            if line.startswith("ExecStart="):
                yield unit.name, shlex.split(line.partition("=")[2])[1:]
    for name, service in services().items():
        yield f"compose {name}", service["command"][1:]
    for container in containers():
        yield f"kubernetes {container['name']}", [*container.get("command", []), *container["args"]][1:]


def environment() -> Iterator[tuple[str, Mapping[str, object]]]:
    for name, service in services().items():
        yield f"compose {name}", service.get("environment", {})
    for container in containers():
        yield f"kubernetes {container['name']}", {each["name"]: each for each in container.get("env", [])}


@pytest.mark.parametrize(("where", "words"), [pytest.param(*each, id=each[0]) for each in started()])
def test_a_command_that_is_started_is_understood(where: str, words: list[str]) -> None:
    verb = cli.get_command(click.Context(cli), words[0])
    assert verb is not None, words
    context = click.Context(verb, info_name=words[0])
    given, rest, _ = verb.make_parser(context).parse_args(words[1:])  # raises for an option that there is not
    assert rest == []
    for option in verb.params:
        if isinstance(option.type, click.Choice) and option.name in given:
            assert given[option.name] in option.type.choices
    if where in ROLES:
        assert given["role"] == ROLES[where]


def test_a_process_among_several_has_a_name_a_socket_and_a_port_of_its_own() -> None:
    named = [env for _, env in environment() if "FARMCTL_WORKERS__NAME" in env]
    assert len(named) == 3
    crew = [each for each in services().values() if "ha" in each["profiles"]]
    for key in ("FARMCTL_WORKERS__NAME", "FARMCTL_METRICS__LISTEN"):
        assert len({each["environment"][key] for each in crew}) == len(crew), key
    stores = [[mount for mount in each["volumes"] if mount.endswith("/var/lib/farmctl")] for each in crew]
    assert stores[0] != stores[1], "socket and journal lie in there"


def test_what_the_environment_sets_is_a_key_of_the_configuration() -> None:
    for where, variables in environment():
        for variable in variables:
            if variable == "CREDENTIALS_DIRECTORY":
                continue
            assert variable.startswith("FARMCTL_")
            table: type[Table] = FarmConfig
            *tables, key = variable.removeprefix("FARMCTL_").lower().split("__")
            for name in tables:
                inner = table.model_fields[name].annotation
                assert isinstance(inner, type), (where, variable)
                assert issubclass(inner, Table)
                table = inner
            assert key in table.model_fields, (where, variable)


def test_what_a_pod_mounts_is_a_volume_of_the_pod_and_its_journal_outlives_it() -> None:
    for manifest in manifests():
        pod = manifest["spec"]["template"]["spec"]
        volumes = {each["name"]: each for each in pod["volumes"]}
        for container in pod["containers"]:
            mounts = {each["mountPath"]: volumes[each["name"]] for each in container["volumeMounts"]}
            assert "hostPath" in mounts["/var/lib/farmctl"]
            variables = {each["name"]: each.get("value") for each in container["env"]}
            assert "secret" in mounts[variables["CREDENTIALS_DIRECTORY"]]
            probe = container["livenessProbe"]["httpGet"]
            assert f"{probe['host']}:{probe['port']}" == variables["FARMCTL_METRICS__LISTEN"]
            # A volume in a read-only one has no place to be mounted at.
            assert not any(a != b and Path(a).is_relative_to(b) for a in mounts for b in mounts)
        assert manifest["spec"]["selector"]["matchLabels"] == manifest["spec"]["template"]["metadata"]["labels"]


def test_the_image_is_built_from_all_that_its_wheel_takes_in() -> None:
    document = yaml.safe_load((CONFIGS / "compose.yaml").read_text(encoding="utf-8"))
    recipe = document["x-farmctl"]["build"]["dockerfile_inline"]
    copied = {word for line in recipe.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]}
    wheel = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    taken = {*wheel["targets"]["wheel"]["packages"], *wheel["targets"]["wheel"]["force-include"]}
    assert taken <= copied
