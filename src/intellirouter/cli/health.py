"""`intellirouter health`: is the gateway well?"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from intellirouter.cli.exits import ExitStatus
from intellirouter.cli.output import Blocks, cell, emit, grid
from intellirouter.cli.session import Session, gateway_command

if TYPE_CHECKING:
    from intellirouter import client

_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})


@gateway_command
def health(
    session: Session,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every part and model.")] = False,
) -> None:
    """Ask the gateway how it is. Exit status 1 when it says `unhealthy`, 4 when nobody answers."""
    with session.gateway(timeout_s=10) as gateway:
        report = gateway.health()
        where = gateway.base_url
    emit(report.raw, session.output, lambda: _blocks(report, where, verbose))
    if report.status == "unhealthy":
        raise typer.Exit(ExitStatus.FAILURE)


def _blocks(report: "client.Health", where: str, is_verbose: bool) -> Iterator[Any]:
    yield f"{report.status}: {where}, version {cell(report.version)}, up {duration(report.uptime_s)}"
    yield from (f"warning: {warning}" for warning in report.warnings)
    if is_verbose:
        yield from _details(report)


def _details(report: "client.Health") -> Blocks:
    yield f"{cell(report.in_flight)} in flight"
    yield grid(("SERVICE", "STATE"), [(name, facts(state)) for name, state in report.services.items()])
    if report.models:
        yield grid(("MODEL", "STATE"), [_model_row(model) for model in report.models])


def _model_row(model: Any) -> tuple[str, str]:
    if not isinstance(model, Mapping):
        return str(model), ""
    rest = {name: value for name, value in model.items() if name != "name"}
    return str(model.get("name", "")), facts(rest)


def facts(state: Any) -> str:
    """Render a small object in one line: `status ok, pending 0`."""
    if isinstance(state, Mapping):
        return ", ".join(f"{name} {facts(value)}" for name, value in state.items() if value not in _NOTHING)
    if isinstance(state, list):
        return "; ".join(facts(item) for item in state)
    return cell(state)


def duration(seconds: float | None) -> str:
    """Render seconds as its two largest units: `3 h 20 min`."""
    if seconds is None:
        return cell(None)
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"
