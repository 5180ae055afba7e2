"""What every command that asks a gateway shares: its address, the key, the output format, and its failures in words."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from intellirouter.cli.exits import ExitStatus, Failure
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import Format

if TYPE_CHECKING:
    from intellirouter import client
else:
    client = LazyModule("intellirouter.client")

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Address of the gateway. Default: INTELLIROUTER_BASE_URL, or port 8080."),
]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", metavar="KEY", help="Key to send. Default: INTELLIROUTER_API_KEY.")
]
Output = Annotated[Format, typer.Option("--format", metavar="table|json|yaml", help="How data is printed.")]


@dataclass(frozen=True)
class Session:
    url: str | None
    api_key: str | None
    output: Format

    @contextmanager
    def gateway(self, *, timeout_s: float = 30.0) -> Iterator["client.Client"]:
        """Open a client that asks once: a person is there to ask again."""
        try:
            opened = client.Client(self.url, self.api_key, timeout_s=timeout_s, max_retries=0)
        except ValueError as error:
            raise Failure(str(error), status=ExitStatus.USAGE) from error
        with opened:
            yield opened


_SHARED: Final = (("url", Url, None), ("api_key", ApiKey, None), ("output", Output, "table"))


def gateway_command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose first parameter is a `Session`: adds --url, --api-key and --format."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in _SHARED
    ]
    every = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *shared]

    def command(**values: Any) -> None:
        session = Session(**{name: values.pop(name) for name, _, _ in _SHARED})
        try:
            function(session, **values)
        except client.IntelliRouterError as error:
            raise failure_of(error) from error

    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__module__ = function.__module__
    command.__annotations__ = {each.name: each.annotation for each in every}
    command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]  # typer reads the parameters here
    return command


def failure_of(error: "client.IntelliRouterError") -> Failure:
    """Say what went wrong, where, and what to do about it."""
    if isinstance(error, client.GatewayUnreachableError):
        return Failure(error.message, error.hint or "", status=ExitStatus.UNREACHABLE)
    facts = [str(part) for part in (error.status, error.code) if part is not None]
    return Failure(
        f"{error.message} ({', '.join(facts)})" if facts else error.message,
        error.hint or _advice(error),
        f"retry after {error.retry_after_s:g} s" if error.retry_after_s is not None else "",
        f"request id: {error.request_id}" if error.request_id else "",
        status=ExitStatus.REFUSED,
    )


def _advice(error: "client.IntelliRouterError") -> str:
    if error.status == 401:
        return "Give a key with --api-key or INTELLIROUTER_API_KEY."
    return ""
