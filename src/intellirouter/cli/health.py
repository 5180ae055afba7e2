"""`intellirouter health`: show the status of a running gateway."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from intellirouter.cli.errors import ExitStatus
from intellirouter.cli.gateway_command import GatewayOptions, gateway_command
from intellirouter.cli.output import Blocks, format_value, make_table, print_data

if TYPE_CHECKING:
    from intellirouter import client

_NORMAL_STATES: Final = frozenset({"ok", "ready", "healthy"})
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


@gateway_command
def health(
    options: GatewayOptions,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show all services and models.")] = False,
) -> None:
    """Show the status of a running gateway.

    Exits with status 1 if the gateway is unhealthy and with status 4 if it cannot be reached.
    """
    with options.connect(timeout_s=10) as gateway:
        report = gateway.health()
        url = gateway.base_url
    print_data(report.raw, options.output, lambda: _blocks(report, url, verbose))
    if report.status == "unhealthy":
        raise typer.Exit(ExitStatus.FAILURE)


def _blocks(report: "client.Health", url: str, is_verbose: bool) -> Iterator[Any]:
    if report.raw.keys() <= {"status", "timestamp"}:
        yield f"{report.status}: {url}"
        yield "The gateway shows details only to a key with the admin grant."
        return
    yield f"{report.status}: {url}, version {format_value(report.version)}, up {format_duration(report.uptime_s)}"
    if report.status != "healthy":
        yield from (f"Reason: {reason}" for reason in _reasons(report))
    yield from (f"Warning: {warning}" for warning in report.warnings)
    if is_verbose:
        yield from _details(report)


def _details(report: "client.Health") -> Blocks:
    yield f"requests in flight: {format_value(report.in_flight)}"
    rows = [part.row() for part in _parts(report.services)]
    headings = ("SERVICE", "STATE", "DETAIL", "FACTS")
    yield make_table(headings, rows, wrapped=("DETAIL", "FACTS"), optional=("FACTS", "DETAIL"))
    if lists := report.raw.get("model_lists"):
        names = ("name", "state", "models", "updated")
        rows = [tuple(each.get(name) for name in names) for each in lists]
        yield make_table(("MODELS OF", "STATE", "LISTED", "UPDATED"), rows, right=("LISTED",))
    if report.models:
        yield make_table(("MODEL", "STATE"), [_model_row(model) for model in report.models], wrapped=("STATE",))


@dataclass(frozen=True)
class _Part:
    """A service, or one of several of the same kind, such as a worker."""

    name: str
    state: str
    detail: str
    facts: Mapping[str, Any]

    def row(self) -> tuple[str, ...]:
        detail = "" if self.detail == self.state else self.detail
        return self.name, self.state, detail, format_state(self.facts)


def _parts(services: Mapping[str, Any]) -> Iterator[_Part]:
    for name, value in services.items():
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, Mapping):
                yield _Part(name, format_value(each), "", {})
                continue
            facts = {key: fact for key, fact in each.items() if key not in {"name", "state", "detail", "problem"}}
            full_name = f"{name.removesuffix('s')} {each['name']}" if "name" in each else name
            detail = each.get("problem") or each.get("detail") or ""
            yield _Part(full_name, format_value(each.get("state")), str(detail), facts)


def _reasons(report: "client.Health") -> Iterator[str]:
    """Describe each service that does not work normally."""
    for part in _parts(report.services):
        if part.state not in _NORMAL_STATES:
            state = part.state.replace("_", " ")
            yield f"{part.name}: {state}. {part.detail}".rstrip()


def _model_row(model: Any) -> tuple[str, str]:
    if not isinstance(model, Mapping):
        return str(model), ""
    state = {name: value for name, value in model.items() if name != "name"}
    return str(model.get("name", "")), format_state(state)


def format_state(state: Any) -> str:
    """Render a small JSON value on one line: `status ok, pending 0`."""
    if isinstance(state, Mapping):
        return ", ".join(
            f"{name.replace('_', ' ')} {format_state(value)}" for name, value in state.items() if value not in _EMPTY
        )
    if isinstance(state, list):
        return "; ".join(format_state(item) for item in state)
    return format_value(state)


def format_duration(seconds: float | None) -> str:
    """Render seconds in their two largest units: `3 h 20 min`."""
    if seconds is None:
        return format_value(None)
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"
