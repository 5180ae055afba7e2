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

_NORMAL_STATES: Final = frozenset({"ok", "ready", "healthy", "full"})
"""`full`: a deployment has as many requests in flight as its concurrency limit allows."""
_MAX_REPEATED: Final = 60
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
    reasons = [] if report.status == "healthy" else list(_reasons(report))
    yield from (f"Reason: {reason}" for reason in reasons)
    yield from (f"Warning: {warning}" for warning in report.warnings)
    if is_verbose:
        yield from _details(report, has_reasons=bool(reasons))


def _details(report: "client.Health", *, has_reasons: bool) -> Blocks:
    yield f"requests in flight: {format_value(report.in_flight)}"
    rows = [part.row(has_reason=has_reasons and part.has_reason) for part in _parts(report.services)]
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

    @property
    def has_reason(self) -> bool:
        """Whether it does not work normally."""
        return self.state not in _NORMAL_STATES

    def row(self, *, has_reason: bool) -> tuple[str, ...]:
        """Return the row of the table. `has_reason`: the detail is above the table, and a long one is not repeated."""
        detail = "" if self.detail == self.state else self.detail
        if has_reason and len(detail) > _MAX_REPEATED:
            detail = "see Reason"
        facts = {name: self._new_lines(value) for name, value in self.facts.items()}
        return self.name, self.state, detail, format_state(facts)

    def _new_lines(self, fact: Any) -> Any:
        """Leave out the lines of a list, such as the last output of a worker, that are in the detail as well."""
        return [each for each in fact if str(each) not in self.detail] if isinstance(fact, list) else fact


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
        if part.has_reason:
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
