"""Three plain top-level names, owned by us alone, complete in a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("farmctl", "drivers", "simulators")


@pytest.mark.parametrize("name", NAMES)
def test_nobody_else_ships_our_top_level_names(name: str) -> None:
    # An editable install is unknown to packages_distributions, hence the default.
    assert packages_distributions().get(name, ["farmctl"]) == ["farmctl"]


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_typed(name: str) -> None:
    assert (ROOT / name / "py.typed").is_file()


def test_the_tests_are_no_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not list((ROOT / "benchmarks").rglob("__init__.py"))


def test_every_driver_folder_is_a_package_that_the_contracts_can_see() -> None:
    folders = [folder for folder in (ROOT / "drivers").iterdir() if folder.is_dir() and folder.name != "__pycache__"]
    assert [folder.name for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_code_configs_and_sql(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "farmctl/_configs/demo.toml",
        "farmctl/_configs/farm.example.toml",
        "farmctl/_configs/profiles/whatsminer.toml",
        "farmctl/store/sql/queries.sql",
        "drivers/whatsminer/driver.py",
        "simulators/traces/surplus_day_demo.csv",
        "farmctl/py.typed",
    }
    assert wanted - names == set()
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", ".ci/"))]


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_the_demo_runs_from_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    where = subprocess.run(
        [sys.executable, "-c", "import farmctl, drivers, simulators; print(farmctl.__file__, simulators.__file__)"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    ).stdout
    assert where.count(str(site)) == 2
    command = [sys.executable, "-m", "farmctl", "demo", "--headless", "--miners", "10", "--for", "12s", "-o", "json"]
    answer = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert '"chain_ok":true' in answer.stdout.splitlines()[-1]
