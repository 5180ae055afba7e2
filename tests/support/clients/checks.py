"""The framework for the checks of Python clients. It runs in the environment of the client: standard library only.

A script marks its checks with `@check` and ends with `run()`, which runs all of them for every upstream and prints the
result of each as one line of JSON.
"""

import asyncio
import inspect
import json
import os
import signal
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

CHECK_TIMEOUT_S = 30
POLL_S = 0.02
RED_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"  # a PNG
PARIS_AND_OSLO = 'call weather with {"city": "Paris"} and call weather with {"city": "Oslo"}'
WEATHER_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PERSON_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
_checks: list[tuple[Callable[..., Any], Sequence[str] | None, Sequence[str]]] = []


@dataclass(frozen=True)
class Case:
    """One upstream, and how to reach it through the gateway."""

    upstream: str
    """`via-openai`, `via-anthropic`, …: also the name of a model without faults."""
    url: str
    key: str
    vendor_url: str

    @property
    def model(self) -> str:
        return self.upstream

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def magic(self, name: str) -> str:
        """Return the name of a fake model of this upstream: `error-429`, `gen-400`, `hang`."""
        return f"{self.upstream}-{name}"

    def requests(self, model: str) -> list[dict[str, Any]]:
        """Return the requests that the vendor received for this upstream and upstream model, oldest first."""
        received = self._control("requests")["requests"]
        return [request for request in received if request["model"] == model and self._is_ours(request)]

    def _is_ours(self, request: dict[str, Any]) -> bool:
        return dict(request["headers"]).get("x-upstream") == self.upstream

    def _control(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.vendor_url}/_control/{what}", timeout=10) as answer:
            return json.load(answer)

    def record(self, request_id: str) -> dict[str, Any]:
        """Return the record of a settled request."""
        where = f"{self.url}/api/v1/requests/{request_id}"
        request = urllib.request.Request(where, headers={"authorization": f"Bearer {os.environ['ADMIN_KEY']}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def check(
    function: Callable[..., Any] | None = None, *, only: Sequence[str] | None = None, without: Sequence[str] = ()
) -> Any:
    """Mark a check: `@check`, `@check(only=["via-openai"])` or `@check(without=["via-ollama"])`.

    The lists must be literals, because they are read without running the script.
    """

    def mark(marked: Callable[..., Any]) -> Callable[..., Any]:
        _checks.append((marked, only, without))
        return marked

    return mark if function is None else mark(function)


def until(look: Callable[[], Any], what: str, timeout_s: float = 5.0) -> Any:
    """Wait until `look` returns something true, and return it. Fails after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"This did not happen within {timeout_s:g} s: {what}."
        time.sleep(POLL_S)
    return found


@contextmanager
def raises(*kinds: type[BaseException]) -> Any:
    """Like `pytest.raises`; yields a list that contains the exception afterwards."""
    caught: list[Any] = []
    try:
        yield caught
    except kinds as error:
        caught.append(error)
    else:
        raise AssertionError(f"No exception was raised; expected {' or '.join(kind.__name__ for kind in kinds)}.")


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"The check took longer than {CHECK_TIMEOUT_S} s.")


def _outcome(function: Callable[..., Any], case: Case) -> str | None:
    """Return the traceback of a failed check, or None."""
    signal.alarm(CHECK_TIMEOUT_S)
    try:
        if inspect.iscoroutinefunction(function):
            asyncio.run(function(case))
        else:
            function(case)
    except Exception:  # noqa: BLE001 - whatever a check raises is its failure
        return traceback.format_exc(limit=-12)
    finally:
        signal.alarm(0)
    return None


def run() -> None:
    """Run every marked check for each upstream in the environment variable UPSTREAMS."""
    signal.signal(signal.SIGALRM, _too_long)
    place = {"url": os.environ["GATEWAY_URL"], "key": os.environ["API_KEY"], "vendor_url": os.environ["VENDOR_URL"]}
    for upstream in os.environ["UPSTREAMS"].split(","):
        case = Case(upstream=upstream, **place)
        for function, only, without in _checks:
            if upstream in without or (only is not None and upstream not in only):
                continue
            started = time.monotonic()
            failure = _outcome(function, case)
            line = {"upstream": upstream, "check": function.__name__, "failure": failure}
            sys.stdout.write(json.dumps({**line, "seconds": round(time.monotonic() - started, 3)}) + "\n")
            sys.stdout.flush()
