"""What both drivers share of httpx: how a client is set up, and what its failures mean."""

from collections.abc import Mapping
from typing import Any

import httpx

from intellirouter.client import errors
from intellirouter.client.calls import Outgoing
from intellirouter.client.flow import Answer, Failed
from intellirouter.client.settings import CONNECT_TIMEOUT_S, KEEPALIVE_S, Settings

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for `httpx.Client` and `httpx.AsyncClient` alike."""
    return {
        "base_url": settings.base_url,
        "headers": settings.headers(),
        "timeout": httpx.Timeout(settings.timeout_s, connect=min(CONNECT_TIMEOUT_S, settings.timeout_s)),
        "limits": httpx.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEEPALIVE_S),
        "trust_env": not settings.is_loopback,
    }


def request_options(request: Outgoing, settings: Settings) -> dict[str, Any]:
    """Keyword arguments for `build_request`."""
    headers = {"accept": "text/event-stream"} if request.is_stream else {}
    if request.body is not None:
        headers["content-type"] = "application/json"
    options: dict[str, Any] = {
        "method": request.method,
        "url": request.path,
        "content": request.body,
        "headers": headers,
    }
    if request.is_endless:
        options["timeout"] = httpx.Timeout(settings.timeout_s, connect=CONNECT_TIMEOUT_S, read=None)
    return options


def answer(response: httpx.Response, body: bytes) -> Answer:
    return Answer(status=response.status_code, headers=_headers(response.headers), body=body)


def _headers(headers: httpx.Headers) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def failed(error: httpx.RequestError, settings: Settings) -> Failed:
    return Failed(error=explained(error, settings), was_sent=not isinstance(error, _NEVER_SENT))


def explained(error: httpx.RequestError, settings: Settings) -> errors.IntelliRouterError:
    """Say in our words why there is no answer."""
    where = settings.base_url
    hint = {"hint": "Start one with `intellirouter serve`, or set INTELLIROUTER_BASE_URL."}
    if isinstance(error, _NEVER_SENT):
        return errors.GatewayUnreachableError(f"no gateway at {where}", envelope={"code": "unreachable", **hint})
    if isinstance(error, httpx.TimeoutException):
        return errors.AnswerTimeoutError(
            f"the gateway at {where} sent nothing for {settings.timeout_s:g} s", envelope={"code": "timeout"}
        )
    why = str(error) or type(error).__name__
    return errors.GatewayUnreachableError(
        f"the connection to {where} broke: {why}", envelope={"code": "connection_lost"}
    )
