"""[store], [metrics], [api] and [[credentials]]: where things are kept, shown and commanded, and with which logins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from farmctl.config.schema.kinds import Endpoint, Label, SitePath, Switch, Table, Text

Account = Annotated[str, Field(pattern=r"^@?[a-z_][a-z0-9_.-]{0,31}$")]


class StoreTable(Table):
    """The journal, the inventory and the history."""

    dir: SitePath = Path("/var/lib/farmctl")
    """Folder of the database; on a disk that survives a power cut."""


class MetricsTable(Table):
    """The Prometheus endpoint."""

    listen: Endpoint = "127.0.0.1:9108"
    """Address and port of /metrics."""
    per_miner: Switch = False
    """True: also serve one series per miner, in shards; costly in Prometheus."""


class ApiTable(Table):
    """The control API on its Unix socket, and who may do what there."""

    socket: SitePath = Path("/run/farmctl/farmctl.sock")
    """Path of the socket."""
    group: Account = "farmctl"
    """Unix group that may open the socket (mode 0660)."""
    operators: tuple[Account, ...] = ()
    """Users, or @groups, that may acknowledge, curtail, override and hold the lease; everybody else only looks."""
    engineers: tuple[Account, ...] = ()
    """Users, or @groups, that may also change config and inventory, reboot, and release an EMERGENCY."""


class CredentialsTable(Table):
    """One login for some miners; the first entry that fits a miner is used, without one the factory defaults."""

    driver: Label
    """Driver of the miners, such as whatsminer."""
    selector: Text = "*"
    """Which of them: a glob over the host, or field=glob with host, id, model, circuit, container or rack."""
    user: Text | None = None
    """User name; left out: the driver's default."""
    password_file: SitePath
    """File that holds the password and nothing else, mode 0600, or credential:NAME."""
