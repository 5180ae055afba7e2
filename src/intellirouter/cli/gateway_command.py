"""What all commands that call a running gateway share: how they connect, --format, and how its errors are reported."""

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from intellirouter.cli.command_signature import own_parameters, with_signature
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import OutputFormat, OutputOption, print_notice
from intellirouter.cli.standard_streams import decode_argument

if TYPE_CHECKING:
    from intellirouter import client, config
else:
    client = LazyModule("intellirouter.client")
    config = LazyModule("intellirouter.config")

DEFAULT_FILE: Final = "intellirouter.yaml"
KEY_VARIABLE: Final = "INTELLIROUTER_API_KEY"

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Gateway address; unix:/PATH for a unix socket. Default: INTELLIROUTER_BASE_URL, or the address at which "
        "`serve` would listen according to its variables, such as API_PORT, and to intellirouter.yaml in this "
        "directory, or http://127.0.0.1:8080.",
    ),
]
ApiKeyOption = Annotated[
    str | None, typer.Option("--api-key", metavar="KEY", help="API key to send. Default: INTELLIROUTER_API_KEY.")
]
CaFileOption = Annotated[
    str | None,
    typer.Option("--ca-file", metavar="FILE", help="File of additional certificate authorities for an https address."),
]


ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", metavar="MODEL", help="Model to request. Default: auto.")
]
DEFAULT_MODEL: Final = "auto"


@contextmanager
def noting_default_model(given: str | None) -> Iterator[None]:
    """Print on standard error which model was requested if none was given, unless the request fails otherwise."""
    note = f"Used the default model {DEFAULT_MODEL}. To use another one, set --model."
    try:
        yield
    except client.NotFoundError:
        if given is None:
            print_notice(note)
        raise
    if given is None:
        print_notice(note)


@dataclass(frozen=True)
class GatewayOptions:
    """The values of the shared options."""

    url: str | None
    api_key: str | None
    ca_file: str | None
    output: OutputFormat

    @contextmanager
    def connect(self, *, timeout_s: float = 30.0) -> Iterator["client.Client"]:
        """Open a client that does not retry: the user sees the error and can run the command again."""
        try:
            url = self.url or self._local_url()
            opened = client.Client(url, self.api_key, timeout_s=timeout_s, max_retries=0, ca_file=self.ca_file)
        except ValueError as error:
            raise CommandError(str(error), status=ExitStatus.USAGE) from error
        with opened:
            yield opened

    def _local_url(self) -> str | None:
        """Return the address of the gateway that `serve` would start here; None for that of the client."""
        by_variables = client.local_gateway_url()
        found = self._file_address()
        if found is None:
            return by_variables
        if found.unix_socket is not None:
            return f"unix:{os.path.abspath(found.unix_socket)}"  # noqa: PTH100 - text, and pathlib resolves no `..`
        return client.url_at(found.host, found.port, is_tls=found.is_tls)

    def _file_address(self) -> "config.ListenAddress | None":
        """Return the address that intellirouter.yaml in this directory sets, unless another one was given."""
        if self.url or os.environ.get("INTELLIROUTER_BASE_URL", "").strip():  # noqa: TID251 - the client's variable
            return None
        if not os.path.exists(DEFAULT_FILE):  # noqa: PTH110 - importing config is slow
            return None
        found = config.listen_address(config.DEFAULT_FILE)
        return found if found is not None and found.is_from_file else None

    def describe(self, error: "client.IntelliRouterError") -> CommandError:
        """Describe a failed call, with where its address and its key came from."""
        described = to_command_error(error)
        if isinstance(error, client.GatewayUnreachableError) and self._file_address() is not None:
            place = f"The address is the one that ./{DEFAULT_FILE} sets. To use another one, set --url."
            return CommandError(described.message, *described.notes, place, status=described.status)
        if isinstance(error, client.AuthenticationError):
            return CommandError(described.message, *self._key_notes(error), *described.notes, status=described.status)
        return described

    def _key_notes(self, error: "client.IntelliRouterError") -> Iterator[str]:
        """Yield where the key came from. The key itself is never printed."""
        if (self.api_key or "").strip():
            yield "The key was given with --api-key."
        elif os.environ.get(KEY_VARIABLE, "").strip():  # noqa: TID251 - the client's variable
            yield f"The key was taken from the environment variable {KEY_VARIABLE}."
        elif error.status == 401:
            yield f"No key was sent, because neither --api-key nor {KEY_VARIABLE} is set."


_SHARED: Final = (
    ("url", UrlOption, None),
    ("api_key", ApiKeyOption, None),
    ("ca_file", CaFileOption, None),
    ("output", OutputOption, "table"),
)


def gateway_command(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate a function whose first parameter is a `GatewayOptions`: adds the options of its fields."""
    own = own_parameters(function)[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in _SHARED
    ]
    parameters = [*own, *shared]

    def command(**values: Any) -> None:
        values = {name: _decoded(name, value) for name, value in values.items()}
        options = GatewayOptions(**{name: values.pop(name) for name, _, _ in _SHARED})
        try:
            function(options, **values)
        except client.IntelliRouterError as error:
            raise options.describe(error) from error

    return with_signature(command, function, parameters)


def _decoded(name: str, value: Any) -> Any:
    """Return the value of an argument or option. Only file names may contain bytes that are not UTF-8."""
    if not isinstance(value, str):
        return value
    try:
        return decode_argument(value)
    except UnicodeDecodeError:
        named = name.replace("_", " ").replace("api key", "API key").replace("url", "URL").replace(" id", " ID")
        message = f"The {named} on the command line is not valid UTF-8."
        raise CommandError(message, "Convert it, or set the locale to UTF-8.", status=ExitStatus.USAGE) from None


def to_command_error(error: "client.IntelliRouterError") -> CommandError:
    """Describe a failed call: the message, the hint, how long to wait, and the facts to look it up by."""
    if isinstance(error, client.GatewayUnreachableError):
        return CommandError(error.message, error.hint or "", status=ExitStatus.UNREACHABLE)
    return CommandError(
        error.message,
        _hint(error),
        f"Retry after {error.retry_after_s:g} s." if error.retry_after_s is not None else "",
        _facts(error),
        status=ExitStatus.REFUSED,
    )


def _facts(error: "client.IntelliRouterError") -> str:
    """Name the status, the error code and the request; the status of a stream that broke off was 200, so not that."""
    facts = (
        f"status {error.status}" if error.status is not None and error.status >= 400 else "",
        f"code {error.code}" if error.code is not None else "",
        f"request ID {error.request_id}" if error.request_id else "",
    )
    text = ", ".join(fact for fact in facts if fact)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _hint(error: "client.IntelliRouterError") -> str:
    if error.status == 401:  # the gateway's hint is about headers
        return f"Set one of the gateway's keys with --api-key or {KEY_VARIABLE}."
    return error.hint or ""
