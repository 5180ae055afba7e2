"""`intellirouter requests`: finished requests, as a list, one in detail, or as they complete."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from intellirouter.cli.command_group import CommandGroup
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.follow import follow_requests
from intellirouter.cli.gateway_command import GatewayOptions, gateway_command
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import (
    LinePrinter,
    OutputFormat,
    encode,
    make_table,
    print_data,
    print_line,
    print_notice,
)
from intellirouter.cli.record_tables import is_failed, local_time, record_blocks, record_cost, record_data, record_line
from intellirouter.cli.tables import Table

if TYPE_CHECKING:
    from intellirouter import client, core
else:
    client = LazyModule("intellirouter.client")

_LIST_HEADINGS: Final = ("TIME", "REQUEST", "MODEL", "DEPLOYMENT", "CACHE", "STATUS", "ERROR", "USD", "MS")
_LIST_NUMBERS: Final = ("STATUS", "USD", "MS")
_LIST_OPTIONAL: Final = ("USD", "DEPLOYMENT", "CACHE", "MS", "TIME", "ERROR", "MODEL", "STATUS")

_ID_PATTERN: Final = re.compile(r"[a-z0-9_]{1,36}")
_ID_HINT: Final = "Run `intellirouter requests list` to list requests."
_MAX_LISTED: Final = 10
_PAGE_SIZE: Final = 20

ErrorsOption = Annotated[bool, typer.Option("--errors", help="Show failed requests only.")]


def requests_commands() -> typer.Typer:
    group = CommandGroup(help="Inspect finished requests.")
    group.command("list")(list_requests)
    group.command("show")(show)
    group.command("tail")(tail)
    return group


@gateway_command
def list_requests(
    options: GatewayOptions,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=200, help="Maximum number of requests to show.")
    ] = _PAGE_SIZE,
    before: Annotated[
        str | None,
        typer.Option(
            "--before",
            metavar="CURSOR",
            help="Show the page after this cursor, which the previous page prints.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="Show requests for this model only.")
    ] = None,
    deployment: Annotated[
        str | None,
        typer.Option("--deployment", "-d", metavar="DEPLOYMENT", help="Show requests served by this deployment only."),
    ] = None,
    errors: ErrorsOption = False,
) -> None:
    """List finished requests, newest first."""
    with options.connect() as gateway:
        page = gateway.requests(limit=limit, before=before, model=model, deployment=deployment, errors=errors)
    data = {"requests": [record_data(record) for record in page.requests], "next": page.next}
    print_data(data, options.output, lambda: [_list_table(page.requests)])
    if page.next is not None and options.output == "table":
        named = {"--limit": None if limit == _PAGE_SIZE else limit, "--model": model, "--deployment": deployment}
        filters = [f"{name} {shlex.quote(str(value))}" for name, value in named.items() if value is not None]
        command = ["intellirouter requests list", *filters, *(["--errors"] if errors else []), f"--before {page.next}"]
        print_notice(f"For the next page, run `{' '.join(command)}`.")


def _list_table(records: "Sequence[client.RequestSummary]") -> Table:
    # Where the cache is off, its column would only take the place of others.
    headings = [name for name in _LIST_HEADINGS if name != "CACHE" or any(each.cache for each in records)]
    rows = [[cell for name, cell in _list_cells(each) if name in headings] for each in records]
    optional = [name for name in _LIST_OPTIONAL if name in headings]
    return make_table(headings, rows, right=_LIST_NUMBERS, optional=optional)


def _list_cells(record: "client.RequestSummary") -> Iterator[tuple[str, Any]]:
    cells = (
        local_time(record.started_us).strftime("%m-%d %H:%M:%S"),
        record.request_id,
        record.model,
        record.deployment,
        record.cache,
        record.status,
        record.error_code,
        record_cost(record),
        f"{record.duration_ms:.0f}",
    )
    return zip(_LIST_HEADINGS, cells, strict=True)


@gateway_command
def show(
    options: GatewayOptions,
    request_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Request ID, as in the x-request-id response header, or an unambiguous beginning of it."
        ),
    ],
) -> None:
    """Show one finished request in detail.

    Prints the routing decision, the attempts over time, the tokens and the cost.
    """
    with options.connect() as gateway:
        record = _find_request(gateway, request_id)
    print_data(record_data(record), options.output, lambda: record_blocks(record))


def _find_request(gateway: "client.Client", wanted: str) -> "core.ExchangeRecord":
    """Return the request with this ID, or the only one whose ID begins with it."""
    if not wanted.strip():
        raise CommandError("The request ID is empty.", _ID_HINT, status=ExitStatus.USAGE)
    try:
        return gateway.request(wanted)
    except client.NotFoundError as error:
        found = _ids_with_prefix(gateway, wanted)
        if not found:
            error.hint = error.hint or _ID_HINT
            raise
    if len(found) > 1:
        message = f"{wanted} is ambiguous: the IDs of several requests begin with it."
        more = [] if len(found) <= _MAX_LISTED else ["…"]
        raise CommandError(message, "Give more of the ID. These are the newest requests.", *found[:_MAX_LISTED], *more)
    return gateway.request(found[0])


def _ids_with_prefix(gateway: "client.Client", prefix: str) -> list[str]:
    """Return the IDs that begin with `prefix`, newest first, one more than are listed."""
    if not _ID_PATTERN.fullmatch(prefix):
        return []
    try:
        page = gateway.requests(id_prefix=prefix, limit=_MAX_LISTED + 1)
    except client.IntelliRouterError:
        return []
    return [each.request_id for each in page.requests if each.request_id.startswith(prefix)]


@gateway_command
def tail(
    options: GatewayOptions,
    count: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, max=200, help="Number of past requests to print first.")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", "-f", help="Keep printing new requests as they complete.")
    ] = True,
    errors: ErrorsOption = False,
) -> None:
    """Print recent requests, then new ones as they complete.

    Runs until it is interrupted with Ctrl-C. If the gateway restarts, it reconnects. With --format json, each request
    is one line (JSON Lines); with yaml, each request is one document.
    """
    with options.connect() as gateway:
        if follow:
            records = follow_requests(gateway, count, only_errors=errors)
        else:
            records = _past_records(gateway, count, errors)
        printer = LinePrinter()
        for record in records:
            if not errors or is_failed(record):
                _print_entry(record, options.output, printer)


def _past_records(gateway: "client.Client", count: int, only_errors: bool) -> Iterator["core.ExchangeRecord"]:
    """Yield the last `count` records, oldest first. Skips records that retention deletes in the meantime."""
    if count == 0:
        return
    for summary in reversed(gateway.requests(limit=count, errors=only_errors).requests):
        with suppress(client.NotFoundError):
            yield gateway.request(summary.request_id)


def _print_entry(record: "core.ExchangeRecord", output: OutputFormat, printer: LinePrinter) -> None:
    if output == "table":
        printer.print(record_line(record))
    else:
        print_line(encode(record_data(record), output, is_one_line=True).rstrip("\n"))
