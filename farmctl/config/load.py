"""Find the configuration, read all of it, and say everything that is wrong at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from farmctl.config.checks import cross_faults
from farmctl.config.checks.files import file_faults
from farmctl.config.document import (
    Document,
    Origin,
    overlay,
    overlay_environment,
    overlay_flags,
    read_document,
)
from farmctl.config.fault import ConfigFaultsError, Fault, KeyPath
from farmctl.config.parts import Known, Places, read_parts
from farmctl.config.schema import FarmConfig
from farmctl.config.schema.kinds import BASE_DIR, CREDENTIALS_DIR

FILE_NAME = "farm.toml"
SYSTEM_FILE = Path("/etc/farmctl") / FILE_NAME
DROP_IN_DIR = "conf.d"
LARGEST_BYTES = 4 * 2**20
"""A site of 50,000 miners needs a few kB: the miners are in the inventory, not here."""

Flags = Mapping[tuple[str, str], tuple[str, object]]
"""(section, key) -> (spelling of the flag, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration without faults, and who set what."""

    config: FarmConfig
    files: tuple[Path, ...]
    origins: Mapping[KeyPath, Origin] = field(default_factory=dict)
    """Origin of every key that was set; an absent one has its default."""


def search(explicit: Path | None, environment: Mapping[str, str], cwd: Path) -> Path:
    """The configuration file, first hit of OPERATIONS section 2; raises ConfigFaultsError where there is none.

    A service of systemd ($INVOCATION_ID) never takes ./farm.toml. A file that was asked for by name is not searched.
    """
    asked = explicit or (Path(text) if (text := environment.get("FARMCTL_CONFIG")) else None)
    if asked is not None:
        return asked
    places = [] if "INVOCATION_ID" in environment else [cwd / FILE_NAME]
    if xdg := environment.get("XDG_CONFIG_HOME"):
        places.append(Path(xdg) / "farmctl" / FILE_NAME)
    elif home := environment.get("HOME"):
        places.append(Path(home) / ".config" / "farmctl" / FILE_NAME)
    places.append(SYSTEM_FILE)
    for place in places:
        if _is_there(place):
            return place
    tried = ", ".join(str(place) for place in places)
    text = f"not found in {tried}; name one with --config, or write one with farmctl init"
    raise ConfigFaultsError([Fault(file=FILE_NAME, line=0, key="", expected=text)])


def load(
    path: Path, *, environment: Mapping[str, str], flags: Flags | None = None, known: Known | None = None
) -> Loaded:
    """Read a configuration with its conf.d, environment and flags; raises ConfigFaultsError with every fault."""
    files = (path, *_drop_ins(path))
    document = _read_files(files)
    overlay_environment(document, environment)
    overlay_flags(document, flags or {})
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    places = {BASE_DIR: path.parent.absolute(), CREDENTIALS_DIR: Path(credentials) if credentials else None}
    return Loaded(config=_believe(document, places, known or Known(), look=True), files=files, origins=document.origins)


def parse(text: str, file: str = FILE_NAME, known: Known | None = None) -> Loaded:
    """Check a text alone: no environment, and the files it names are not looked at."""
    document = read_document(text, file)
    config = _believe(document, {}, known or Known(), look=False)
    return Loaded(config=config, files=(), origins=document.origins)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder closed to this user: then it is not this user's configuration
        return False


def _drop_ins(path: Path) -> list[Path]:
    try:
        return sorted((path.parent / DROP_IN_DIR).glob("*.toml"))
    except OSError:
        return []


def _read_files(files: tuple[Path, ...]) -> Document:
    """Merge all files; what is not TOML is reported for all of them, and nothing else is then worth saying."""
    faults: list[Fault] = []
    document: Document | None = None
    for file in files:
        try:
            read = read_document(_text_of(file), str(file))
        except ConfigFaultsError as error:
            faults.extend(error.faults)
            continue
        if document is None:
            document = read
        else:
            overlay(document, read)
    if faults or document is None:
        raise ConfigFaultsError(faults)
    return document


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path"
        text = f"expected a readable file: {reason}"
        raise ConfigFaultsError([Fault(file=str(file), line=0, key="", expected=text)]) from None
    if len(raw) > LARGEST_BYTES:
        text = f"expected at most {LARGEST_BYTES} bytes"
        raise ConfigFaultsError([Fault(file=str(file), line=0, key="", expected=text)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        text = "expected UTF-8 text"
        raise ConfigFaultsError([Fault(file=str(file), line=line, key="", expected=text)]) from None


def _believe(document: Document, places: Places, known: Known, *, look: bool) -> FarmConfig:
    parts, faults = read_parts(document, places)
    faults.extend(cross_faults(parts, known))
    if look:
        faults.extend(file_faults(parts, places))
    config = parts.config()
    if faults or config is None:
        raise ConfigFaultsError(faults)
    return config
