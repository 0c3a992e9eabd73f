"""[store], [metrics], [api] and [[credentials]]: where things are kept, shown and commanded, and with which logins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from farmctl.config.schema.kinds import Endpoint, Label, SitePath, Switch, Table, Text

WebAddress = Annotated[str, Field(pattern=r"^https?://[^\s]{1,500}$")]
Account = Annotated[str, Field(pattern=r"^@?[a-z_][a-z0-9_.-]{0,31}$")]


class StoreTable(Table):
    """The journal, the inventory and the history."""

    kind: Literal["sqlite", "postgres"] = "sqlite"
    """sqlite: a file of one process; postgres: a database (15 or newer) that several workers share."""
    dir: SitePath = Path("/var/lib/farmctl")
    """Folder of the database file, and of all that one process keeps; on a disk that survives a power cut."""
    dsn_file: SitePath | None = None
    """With postgres: file that holds postgresql://USER:PASSWORD@HOST:PORT/DATABASE, mode 0600, or credential:NAME."""

    @model_validator(mode="after")
    def _has_its_dsn(self) -> StoreTable:
        if self.kind == "postgres" and self.dsn_file is None:
            raise ValueError("dsn_file: expected with kind = 'postgres'")
        return self


class WorkersTable(Table):
    """Several processes of one site, each with farmctl run --role; they need a store of kind postgres."""

    shard: Literal["container", "rack"] = "container"
    """What a worker holds at a time; also the unit of the power that is shared out."""
    name: Label | None = None
    """Name of this process among the others; left out: the name of the host."""
    lease_s: Annotated[float, Field(strict=True, ge=5.0, le=60.0)] = 6.0
    """Life of a lease: renewed each sixth of it, and for its last third, or 3.2 s, nothing is sent any more."""


class MetricsTable(Table):
    """The Prometheus endpoint."""

    listen: Endpoint = "127.0.0.1:9108"
    """Address and port of /metrics."""
    per_miner: Switch = False
    """True: also serve one series per miner, in shards; costly in Prometheus."""
    cert_file: SitePath | None = None
    """Certificate chain, PEM; with it and its key the endpoint speaks TLS alone."""
    key_file: SitePath | None = None
    """Private key of the certificate, PEM, mode 0600, or credential:NAME."""
    user: Text | None = None
    """User that a scraper must name, by HTTP basic authentication."""
    password_file: SitePath | None = None
    """File that holds that user's password and nothing else, mode 0600, or credential:NAME."""
    runbook_url: WebAddress | None = None
    """Where people read the runbooks that alarms link to; left out: this endpoint serves them at /runbooks/."""
    dashboard_url: WebAddress | None = None
    """The site's dashboard, for the messages that tell of alarms; left out: they name none."""

    @model_validator(mode="after")
    def _in_pairs(self) -> MetricsTable:
        pairs = (("cert_file", "key_file"), ("user", "password_file"))
        torn = [pair for pair in pairs if len({getattr(self, key) is None for key in pair}) > 1]
        if torn:
            raise ValueError("; ".join(f"{one} and {other}: expected both or neither" for one, other in torn))
        return self

    @property
    def runbooks(self) -> str:
        """Where the runbooks are, with a slash at its end."""
        if self.runbook_url is not None:
            return f"{self.runbook_url.rstrip('/')}/"
        return f"{'http' if self.cert_file is None else 'https'}://{self.listen}/runbooks/"


class ApiTable(Table):
    """The control API on its Unix socket, and who may do what there."""

    socket: SitePath = Path("/run/farmctl/farmctl.sock")
    """Path of the socket."""
    group: Account = "farmctl"
    """Unix group that may open the socket (mode 0660)."""
    viewers: tuple[Account, ...] = ()
    """Users, or @groups, that may look; the members of group may anyway."""
    operators: tuple[Account, ...] = ()
    """Users, or @groups, that may also acknowledge, curtail, override and hold the lease."""
    engineers: tuple[Account, ...] = ()
    """Users, or @groups, that may also change config and inventory, reboot, and release an EMERGENCY."""
    strangers: Literal["nothing", "viewer"] = "nothing"
    """What a user sees that stands in none of these lists and not in group: nothing, or as much as a viewer."""
    listen: Endpoint | None = None
    """Address and port of the API over TCP with TLS and tokens (farmctl token make); left out: the socket alone."""
    tls_cert: SitePath | None = None
    """Certificate chain that the TCP listener shows, PEM."""
    tls_key: SitePath | None = None
    """Private key of tls_cert, mode 0600, or credential:NAME."""


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
