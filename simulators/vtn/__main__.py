"""`python -m simulators.vtn` serves a VTN with one business client and one VEN until interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

import click

from simulators.vtn.access import Client, Role
from simulators.vtn.app import Vtn


@click.command("vtn")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8081, show_default=True, help="0 picks a free one.")
@click.option("--bl", default="bl:bl-secret", show_default=True, help="Business client as ID:SECRET.")
@click.option("--ven", default="ven:ven-secret", show_default=True, help="VEN as ID:SECRET.")
@click.option("--broker", help="HOST:PORT of an MQTT broker for notifications.")
def main(host: str, port: int, bl: str, ven: str, broker: str | None) -> None:
    """Serve OpenADR 3.1."""
    clients = (_client(bl, Role.BL), _client(ven, Role.VEN))
    where = broker.rpartition(":") if broker else None
    made = Vtn(clients, host=host, port=port, broker=(where[0], int(where[2])) if where else None)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(made))


def _client(text: str, role: Role) -> Client:
    client_id, _, secret = text.partition(":")
    if not client_id or not secret:
        raise click.BadParameter(f"{text!r}: expected ID:SECRET")
    return Client(client_id=client_id, secret=secret, role=role)


async def _serve(vtn: Vtn) -> None:
    await vtn.start()
    try:
        sys.stdout.write(json.dumps({"ready": "vtn", "url": vtn.url}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
    finally:
        await vtn.stop()


if __name__ == "__main__":
    main()
