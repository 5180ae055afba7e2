"""Puts the commands together, and turns failures into messages and exit statuses."""

from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from intellirouter import __version__
from intellirouter.cli import (
    catalogue_refresh,
    catalogue_show,
    chat,
    config_check,
    config_schema,
    config_show,
    credentials_list,
    credentials_rekey,
    credentials_remove,
    credentials_set,
    discover,
    explain,
    health,
    init,
    models,
    requests_list,
    requests_show,
    requests_tail,
    serve,
    version,
)
from intellirouter.cli.exits import Failure
from intellirouter.cli.output import say_error

_NOT_ASKED: Final = {"help": False}
_HELP_DEFAULTS: Final = {
    "default_map": {
        **_NOT_ASKED,
        **dict.fromkeys(("catalog", "config", "credentials", "requests", "route"), _NOT_ASKED),
    }
}
"""Spelt out, because typer loads pydantic (0.2 s) to understand a help flag that is neither given nor False."""


class _Guarded(TyperGroup):
    """The root group: a `Failure` of any command ends the process with its message and status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Failure as failure:
            say_error(failure.message, *failure.notes)
            raise typer.Exit(failure.status) from failure


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"intellirouter {__version__}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One gateway for every model: it decides, explains, fails over and accounts."""


def _group(about: str) -> typer.Typer:
    return typer.Typer(help=about, no_args_is_help=True, rich_markup_mode=None)


def build_app() -> typer.Typer:
    """Return the whole command tree. Help is plain text: drawing boxes would cost more than the rest of a command."""
    app = typer.Typer(
        cls=_Guarded,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_HELP_DEFAULTS,
        add_completion=False,  # its two options make typer load pydantic for every command and every help
    )
    app.callback()(_root)
    app.command("serve")(serve.serve)
    app.command("init")(init.init)
    config = _group("Check and show the configuration.")
    config.command("check")(config_check.check)
    config.command("show")(config_show.show)
    config.command("schema")(config_schema.schema)
    app.add_typer(config, name="config")
    credentials = _group("Keep providers' credentials in the store, sealed.")
    credentials.command("set")(credentials_set.set_credential)
    credentials.command("list")(credentials_list.list_credentials)
    credentials.command("remove")(credentials_remove.remove_credential)
    credentials.command("rekey")(credentials_rekey.rekey_credentials)
    app.add_typer(credentials, name="credentials")
    app.command("health")(health.health)
    app.command("models")(models.models)
    app.command("discover")(discover.discover)
    catalogue = _group("Prices and context windows of hosted models.")
    catalogue.command("refresh")(catalogue_refresh.refresh)
    catalogue.command("show")(catalogue_show.show)
    app.add_typer(catalogue, name="catalog")
    app.command("chat")(chat.chat)
    app.command("explain")(explain.explain)
    route = _group("Ask how requests are routed.")
    route.command("explain")(explain.explain)
    app.add_typer(route, name="route")
    requests = _group("Look at finished requests.")
    requests.command("list")(requests_list.list_requests)
    requests.command("show")(requests_show.show)
    requests.command("tail")(requests_tail.tail)
    app.add_typer(requests, name="requests")
    app.command("version")(version.version)
    return app


def main() -> None:
    """Run the command line of this process; ends it with one of `ExitStatus`, or 130 after an interrupt."""
    build_app()()
