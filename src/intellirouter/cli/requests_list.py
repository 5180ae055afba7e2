"""`intellirouter requests list`: a page of finished requests."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from intellirouter.cli.output import emit, grid, say
from intellirouter.cli.records import as_data, cost, local_time
from intellirouter.cli.session import Session, gateway_command

if TYPE_CHECKING:
    from intellirouter import client

_HEADINGS: Final = ("TIME", "REQUEST", "MODEL", "DEPLOYMENT", "STATUS", "ERROR", "USD", "MS")
_NUMBERS: Final = ("STATUS", "USD", "MS")


@gateway_command
def list_requests(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="How many.")] = 20,
    before: Annotated[str | None, typer.Option("--before", metavar="CURSOR", help="Go on after a page.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="MODEL", help="Only this model.")] = None,
    deployment: Annotated[
        str | None, typer.Option("--deployment", "-d", metavar="DEPLOYMENT", help="Only what this one served.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only what failed.")] = False,
) -> None:
    """List finished requests, newest first."""
    with session.gateway() as gateway:
        page = gateway.requests(limit=limit, before=before, model=model, deployment=deployment, errors=errors)
    data = {"requests": [as_data(record) for record in page.requests], "next": page.next}
    emit(data, session.output, lambda: [grid(_HEADINGS, map(_row, page.requests), right=_NUMBERS)])
    if page.next is not None and session.output == "table":
        say(f"more: intellirouter requests list --before {page.next}")


def _row(record: "client.RequestSummary") -> tuple[Any, ...]:
    return (
        local_time(record.started_us).strftime("%m-%d %H:%M:%S"),
        record.request_id,
        record.model,
        record.deployment,
        record.status,
        record.error_code,
        cost(record),
        f"{record.duration_ms:.0f}",
    )
