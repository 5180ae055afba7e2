"""What `serve` prints at the start: the configuration in use, the address, a request to try, and model progress."""

import sys
from pathlib import Path
from typing import Any, Final, TextIO

import intellirouter
from intellirouter.config import Discovery, Runtime, is_loopback
from intellirouter.core import program_name, with_program_name
from intellirouter.hosting import WorkerState, WorkerView
from intellirouter.roles.network_addresses import is_unspecified, reachable_addresses
from intellirouter.roles.standard_streams import write_text

_LOADING_STATES: Final = frozenset({WorkerState.FETCHING, WorkerState.LOADING})
_PERCENT_STEP: Final = 10
_MAX_LISTED_MODELS: Final = 8


def print_banner(runtime: Runtime, discovery: Discovery | None, address: Any, config_path: Path | None) -> None:
    """Print the summary of a started gateway on standard output. `address` is that of the listening socket."""
    url = _url(runtime, address)
    lines = [f"IntelliRouter {intellirouter.__version__}"]
    if discovery is not None:
        lines += ["  using    " + finding for finding in discovery.findings]
        lines += [f"           To save this as intellirouter.yaml, run: {program_name()} init"]
    else:
        lines.append(f"  config   {config_path}")
    lines.append(f"  models   {_model_names(runtime)}")
    lines.append(f"  store    {runtime.store.url}")
    lines.append(f"  auth     {_auth_text(runtime)}")
    lines += _proxies(runtime)
    lines += ["  warning  " + with_program_name(warning) for warning in runtime.warnings]
    place = f" on {address}" if isinstance(address, str) else ""
    lines.append(f"  serving  {url}/v1{place}   (press Ctrl-C to stop)")
    lines += _network(runtime, address)
    lines += _example(runtime, url)
    write_text(sys.stdout, "\n".join(lines) + "\n")


def _auth_text(runtime: Runtime) -> str:
    if runtime.is_auth_required:
        return "API key required"
    if runtime.keys:
        return "no API key required, but a wrong key is rejected"
    return "no API key required"


def _proxies(runtime: Runtime) -> list[str]:
    """Return the proxies that lead to providers, with those providers."""
    names: dict[str, list[str]] = {}
    for name, provider in runtime.providers.items():
        if (proxy := provider.proxy) is not None:
            shown = f"{proxy} ({proxy.variable})" if proxy.variable else str(proxy)
            names.setdefault(shown, []).append(name)
    return [f"  proxy    {shown} for {', '.join(each)}" for shown, each in names.items()]


def _network(runtime: Runtime, address: Any) -> list[str]:
    """Return where other machines reach the gateway, and whether they need a key."""
    if isinstance(address, str) or is_loopback(address[0]):
        return []
    host, port = address[:2]
    shown = ", ".join(_url_of(runtime, each, port) for each in reachable_addresses(host))
    access = "with an API key" if runtime.is_auth_required else "without an API key"
    return [
        f"  network  {shown or f'port {port} of all addresses of this machine'}",
        f"           Every machine that can reach this address can send requests {access}.",
    ]


def _url(runtime: Runtime, address: Any) -> str:
    if isinstance(address, str):
        return f"{_scheme(runtime)}://localhost"
    host, port = address[:2]
    return _url_of(runtime, "127.0.0.1" if is_unspecified(host) else host, port)


def _url_of(runtime: Runtime, host: str, port: int) -> str:
    return f"{_scheme(runtime)}://{f'[{host}]' if ':' in host else host}:{port}"


def _scheme(runtime: Runtime) -> str:
    return "http" if runtime.server.tls_cert_file is None else "https"


def _model_names(runtime: Runtime) -> str:
    names = [*runtime.models, *(name for name in runtime.deployments if name not in runtime.models)]
    if not names:
        wildcards = [f"{name}/*" for name, provider in runtime.providers.items() if provider.allows_any_model]
        return ", ".join(wildcards) or 'none: add some under `deployments`, or set `models: "*"` of a provider'
    hidden = len(names) - _MAX_LISTED_MODELS
    return ", ".join(names[:_MAX_LISTED_MODELS]) + (f" and {hidden} more" if hidden > 0 else "")


def _example(runtime: Runtime, url: str) -> list[str]:
    """Return a request to try, if a model is known by name."""
    fakes = [f"{name}/echo" for name, provider in runtime.providers.items() if provider.vendor == "fake"]
    model = next(iter([*runtime.models, *runtime.deployments, *fakes]), None)
    return [""] if model is None else ["", "Try it:", *_curl_command(runtime, url, model), ""]


def _curl_command(runtime: Runtime, url: str, model: str) -> list[str]:
    key = ["    -H 'authorization: Bearer YOUR_KEY' \\"] if runtime.is_auth_required else []
    body = f'{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Say hello."}}]}}'
    unix_socket = runtime.server.unix_socket
    option = "" if unix_socket is None else f"--unix-socket {unix_socket} "
    return [
        f"  curl -N {option}{url}/v1/chat/completions \\",
        *key,
        "    -H 'content-type: application/json' \\",
        f"    -d '{body}'",
    ]


class HostProgress:
    """Prints the progress of local models: one line per phase, and one per tenth of a download.

    On a terminal, the line of a model that is not ready yet is rewritten.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._last: dict[str, str] = {}
        self._is_readable = True

    def show(self, view: WorkerView) -> None:
        """Print the state of a worker if it differs from what was printed last."""
        if not self._is_readable:
            return
        phase = view.detail.partition(" ")[0]
        if _is_retried(view):
            shown = f"unavailable {view.problem}"  # once, not for each attempt
        elif view.state != WorkerState.FETCHING:
            shown = f"{view.state} {view.detail}"
        elif phase == "Downloading" and view.percent is not None:
            shown = f"{phase} {view.percent // _PERCENT_STEP}"
        else:
            shown = phase
        if self._last.get(view.name) == shown:
            return
        self._last[view.name] = shown
        self._print(view)

    def _print(self, view: WorkerView) -> None:
        text = f"  {view.name}: {_sentences(view)}"
        if self._is_terminal:
            text = "\r\x1b[K" + text + ("" if view.state in _LOADING_STATES and not _is_retried(view) else "\n")
        else:
            text += "\n"
        self._is_readable = write_text(self._out, text)


def _is_retried(view: WorkerView) -> bool:
    """Return whether the weights of a model could not be fetched, or its worker has crashed again and again.

    Not while a download makes progress.
    """
    return view.problem is not None and view.state in {WorkerState.FETCHING, WorkerState.BACKOFF} and not view.percent


def _sentences(view: WorkerView) -> str:
    """Return the state of a worker in words. While it is fetched or loaded, its detail says everything."""
    if _is_retried(view):
        return f"Unavailable. {view.problem} The gateway keeps trying."
    if view.state in _LOADING_STATES and view.detail:
        return view.detail
    state = f"{view.state.replace('_', ' ').capitalize()}."
    if view.state == WorkerState.READY and view.cold_start_ms is not None:
        return f"{state} Loading took {view.cold_start_ms:.0f} ms."
    return f"{state} {view.detail}".rstrip()
