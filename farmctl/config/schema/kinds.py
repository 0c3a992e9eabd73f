"""The value kinds that tables are made of: strict numbers with bounds, names, addresses, paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

CREDENTIAL_PREFIX = "credential:"
"""`credential:NAME` is the file NAME of systemd's LoadCredential=."""

BASE_DIR = "base_dir"
CREDENTIALS_DIR = "credentials_dir"
"""Keys of the validation context: where relative paths start, and where systemd put the credentials.

Without a context paths stay as they are written.
"""

LAST_PORT = 65535


class Table(BaseModel):
    """A table of the file: unknown keys are faults, values never change after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True, hide_input_in_errors=True
    )


def _absolute(path: Path, info: ValidationInfo) -> Path:
    places: Mapping[str, Path | None] = info.context or {}
    text = str(path)
    if text.startswith(CREDENTIAL_PREFIX) and CREDENTIALS_DIR in places:
        folder = places.get(CREDENTIALS_DIR)
        if folder is None:
            raise ValueError("a systemd credential needs $CREDENTIALS_DIRECTORY, which is not set")
        return folder / text.removeprefix(CREDENTIAL_PREFIX)
    base = places.get(BASE_DIR)
    return path if base is None else base / path


def _endpoint(text: str) -> str:
    host, port = split_endpoint(text)
    if not host or not 1 <= port <= LAST_PORT:
        raise ValueError(f"expected host:port with a port from 1 to {LAST_PORT}, such as broker.example:8883")
    return text


def split_endpoint(text: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 host stands in brackets. ("", 0) where it is neither."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bad = not colon or not port.isascii() or not port.isdigit() or len(port) > len(str(LAST_PORT))
    if bad or (":" in host and not bracketed) or any(c.isspace() or c in "/@" for c in host):
        return "", 0
    return (host[1:-1] if bracketed else host), int(port)


SiteName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
"""As in MQTT topics (SIGNALS section 2)."""
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Switch = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1)]
Port = Annotated[int, Field(strict=True, ge=1, le=LAST_PORT)]
Number = Annotated[float, Field(strict=True)]
AtLeastZero = Annotated[float, Field(strict=True, ge=0)]
Positive = Annotated[float, Field(strict=True, gt=0)]
Fraction = Annotated[float, Field(strict=True, gt=0, le=1)]
Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
"""`host:port`."""
SitePath = Annotated[Path, AfterValidator(_absolute)]
"""A path; a relative one starts at the folder of the configuration."""
