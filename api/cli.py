"""The command ``tickguard``."""

from importlib.metadata import version as installed_version

import typer

from api.commands import keys
from api.commands.bench import bench
from api.commands.common import Json, load_settings, print_json
from api.commands.demo import demo
from api.commands.doctor import doctor
from api.commands.record import record
from api.commands.run import run
from api.commands.simulate import simulate
from api.commands.simulator import simulator

app = typer.Typer(
    name="tickguard",
    help="Guards crypto positions against every tick, and closes each exactly once.\n\n"
    "Example: tickguard demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(run)
app.command()(demo)
app.command()(simulator)
app.command()(simulate)
app.command()(doctor)
app.command()(bench)
app.command()(record)
app.add_typer(keys.app, name="keys")


@app.command()
def version(json: Json = False) -> None:
    """Show the version.

    Example: tickguard version
    """
    number = installed_version("tickguard")
    if json:
        print_json({"version": number})
    else:
        typer.echo(f"tickguard {number}")


@app.command()
def config(json: Json = False) -> None:
    """Show every setting as it is in force; secrets are masked.

    Example: tickguard config
    """
    rows = load_settings().describe()
    if json:
        print_json({row.name: row.value for row in rows})
        return
    width = max(len(row.name) for row in rows)
    for row in rows:
        mark = " " if row.value == row.default else "*"
        typer.echo(f"{mark} {row.name:{width}}  {row.value}")


def main() -> None:
    """Entry point of the console script."""
    app()
