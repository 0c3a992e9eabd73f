"""`farmsim world`: writes the description of a farm."""

from __future__ import annotations

import click

from simulators.plan import DEFAULT_MIX, FIRST_NET, write_plan


@click.command("world")
@click.option("--miners", type=click.IntRange(min=1), required=True)
@click.option("--mix", help="model=weight,model=weight; a fleet of all makes by default.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--http-port", type=click.IntRange(1, 65_535), default=80, show_default=True, help="8080 needs no root.")
@click.option("--first-net", type=click.IntRange(1, 200), default=FIRST_NET, show_default=True, help="127.N.0.0/16.")
def main(miners: int, mix: str | None, seed: int, http_port: int, first_net: int) -> None:
    """Write a description of MINERS miners to standard output."""
    try:
        text = write_plan(miners, _mix(mix), seed=seed, http_port=http_port, first_net=first_net)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(text, nl=False)


def _mix(text: str | None) -> dict[str, int]:
    if not text:
        return DEFAULT_MIX
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    strange = next((weight for _, _, weight in pairs if weight and not weight.strip().isdecimal()), None)
    if strange is not None:
        raise click.BadParameter(f"{strange!r}: expected a whole number as weight", param_hint="--mix")
    return {model.strip(): int(weight or "1") for model, _, weight in pairs}
