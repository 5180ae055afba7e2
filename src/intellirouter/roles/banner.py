"""What `serve` prints at the start: the configuration in use, the address, a request to try, and model progress."""

import sys
from pathlib import Path
from typing import Final, TextIO

import intellirouter
from intellirouter.config import Discovery, Runtime
from intellirouter.hosting import WorkerState, WorkerView

_HIDDEN_STATES: Final = frozenset({WorkerState.STOPPED})
_PERCENT_STEP: Final = 10
_MAX_LISTED_MODELS: Final = 8


def print_banner(runtime: Runtime, discovery: Discovery | None, host: str, port: int, config_path: Path | None) -> None:
    """Print the summary of a started gateway on standard output."""
    shown_host = "127.0.0.1" if host in {"0.0.0.0", "::"} else (f"[{host}]" if ":" in host else host)
    url = f"http://{shown_host}:{port}"
    lines = [f"IntelliRouter {intellirouter.__version__}"]
    if discovery is not None:
        lines += ["  found    " + finding for finding in discovery.findings]
        lines += ["           To save this as a configuration file, run: intellirouter init"]
    else:
        lines.append(f"  config   {config_path}")
    lines.append(f"  models   {_model_names(runtime)}")
    lines.append(f"  store    {runtime.store.url}")
    lines.append(f"  auth     {'API key required' if runtime.is_auth_required else 'no API key required'}")
    lines += ["  warning  " + warning for warning in runtime.warnings]
    lines.append(f"  serving  {url}/v1   (press Ctrl-C to stop)")
    lines += ["", "Try it:", *_curl_command(runtime, url), ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _model_names(runtime: Runtime) -> str:
    names = [*runtime.models, *(name for name in runtime.deployments if name not in runtime.models)]
    if not names:
        return "none (see the warnings below)"
    hidden = len(names) - _MAX_LISTED_MODELS
    return ", ".join(names[:_MAX_LISTED_MODELS]) + (f" and {hidden} more" if hidden > 0 else "")


def _curl_command(runtime: Runtime, url: str) -> list[str]:
    model = next(iter(runtime.models), next(iter(runtime.deployments), "fake/echo"))
    key = ["    -H 'authorization: Bearer YOUR_KEY' \\"] if runtime.is_auth_required else []
    body = f'{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Say hello."}}]}}'
    return [
        f"  curl -N {url}/v1/chat/completions \\",
        *key,
        "    -H 'content-type: application/json' \\",
        f"    -d '{body}'",
    ]


class HostProgress:
    """Prints the progress of local models: one line that is rewritten on a terminal, a few lines elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._last: dict[str, str] = {}

    def show(self, view: WorkerView) -> None:
        """Print the state of a worker if it differs from what was printed last."""
        if view.state in _HIDDEN_STATES:
            return
        percent = view.percent
        shown = f"{view.state}"
        if view.state == WorkerState.FETCHING and percent is not None:
            shown += str(percent if self._is_terminal else percent // _PERCENT_STEP)
        elif view.state != WorkerState.READY:
            shown += view.detail
        if self._last.get(view.name) == shown:
            return
        self._last[view.name] = shown
        self._print(view)

    def _print(self, view: WorkerView) -> None:
        text = f"  {view.name}: {view.state}"
        if view.detail and view.state != WorkerState.READY:
            text += f" — {view.detail}"
        if view.state == WorkerState.READY and view.cold_start_ms is not None:
            text += f" (loaded in {view.cold_start_ms:.0f} ms)"
        if self._is_terminal:
            ends_line = view.state not in {WorkerState.FETCHING, WorkerState.LOADING}
            text = "\r\x1b[K" + text + ("\n" if ends_line else "")
        else:
            text += "\n"
        self._out.write(text)
        self._out.flush()
