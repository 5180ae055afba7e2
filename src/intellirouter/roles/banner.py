"""What `serve` says at the start: what it found, where it listens, a request to try."""

import sys
from pathlib import Path
from typing import Final, TextIO

import intellirouter
from intellirouter.config import Discovery, Runtime
from intellirouter.hosting import WorkerState, WorkerView

_QUIET_STATES: Final = frozenset({WorkerState.STOPPED})
_STEP_PERCENT: Final = 10


def print_banner(runtime: Runtime, discovery: Discovery | None, host: str, port: int, config_path: Path | None) -> None:
    """Print the start's summary on standard output."""
    shown_host = "127.0.0.1" if host in {"0.0.0.0", "::"} else (f"[{host}]" if ":" in host else host)
    url = f"http://{shown_host}:{port}"
    lines = [f"IntelliRouter {intellirouter.__version__}"]
    if discovery is not None:
        lines += ["  found    " + finding for finding in discovery.findings]
        lines += ["           write this down as a file: intellirouter init"]
    else:
        lines.append(f"  config   {config_path}")
    lines.append(f"  models   {_names(runtime)}")
    lines.append(f"  store    {runtime.store.url}")
    auth = "a key is required" if runtime.is_auth_required else "off: no key is asked for on this address"
    lines.append(f"  auth     {auth}")
    lines += ["  note     " + warning for warning in runtime.warnings]
    lines.append(f"  serving  {url}/v1   (stop with Ctrl-C)")
    lines += ["", "Try it:", *_curl(runtime, url), ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _names(runtime: Runtime) -> str:
    names = [*runtime.models, *(name for name in runtime.deployments if name not in runtime.models)]
    shown = ", ".join(names[:8])
    return (shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")) or "none: see the notes below"


def _curl(runtime: Runtime, url: str) -> list[str]:
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
    """Tells a person how the local models are coming along: one line rewritten on a terminal, few lines elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._last: dict[str, str] = {}

    def show(self, view: WorkerView) -> None:
        if view.state in _QUIET_STATES:
            return
        percent = view.percent
        key = f"{view.state}"
        if view.state == WorkerState.FETCHING and percent is not None:
            key += str(percent if self._is_terminal else percent // _STEP_PERCENT)
        elif view.state != WorkerState.READY:
            key += view.detail
        if self._last.get(view.name) == key:
            return
        self._last[view.name] = key
        self._say(view)

    def _say(self, view: WorkerView) -> None:
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
