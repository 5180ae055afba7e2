"""What both clients need to use httpx: its options, and how its responses and errors become ours."""

from collections.abc import Mapping
from typing import Any

import httpx

from intellirouter.client.api_requests import ApiRequest
from intellirouter.client.errors import GatewayUnreachableError, IntelliRouterError, ResponseTimeoutError
from intellirouter.client.retries import ApiResponse, ConnectionFailure
from intellirouter.client.settings import CONNECT_TIMEOUT_S, KEEPALIVE_S, Settings
from intellirouter.client.tls import tls_context

_UNKNOWN_NAME = ("Name or service not known", "nodename nor servname", "name resolution", "No address associated")
_NOT_SENT_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=KEEPALIVE_S)


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of `httpx.Client` and `httpx.AsyncClient`. Raises `ValueError`."""
    options: dict[str, Any] = {
        "base_url": settings.base_url if settings.uds is None else "http://localhost",
        "headers": settings.headers(),
        "timeout": httpx.Timeout(settings.timeout_s, connect=min(CONNECT_TIMEOUT_S, settings.timeout_s)),
        "limits": _LIMITS,
        "trust_env": False,  # the settings have the variables, with the rules of the gateway
    }
    proxy = settings.proxy
    if settings.is_tls or (proxy is not None and proxy.is_tls):
        options["verify"] = tls_context(settings)
    if proxy is not None:
        login = None if proxy.login is None else proxy.login.reveal().partition(":")[::2]
        options["proxy"] = httpx.Proxy(str(proxy), auth=login, ssl_context=options["verify"] if proxy.is_tls else None)
    return options


def socket_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of a transport over the unix socket of `settings`."""
    return {"uds": settings.uds, "limits": _LIMITS, "trust_env": False}


def request_options(request: ApiRequest, settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of `build_request`."""
    headers = dict(request.headers)
    if request.is_stream:
        headers["accept"] = "text/event-stream"
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


def is_event_stream(response: httpx.Response) -> bool:
    """Return whether a response is the stream that was requested, and not an error or a page of another server."""
    media_type: str = response.headers.get("content-type", "")
    return response.status_code < 400 and media_type.lower().startswith("text/event-stream")


def to_response(response: httpx.Response, body: bytes) -> ApiResponse:
    return ApiResponse(status=response.status_code, headers=_headers(response.headers), body=body)


def _headers(headers: httpx.Headers) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def to_failure(error: httpx.RequestError, settings: Settings) -> ConnectionFailure:
    return ConnectionFailure(error=to_error(error, settings), was_sent=not isinstance(error, _NOT_SENT_ERRORS))


def to_error(error: httpx.RequestError, settings: Settings) -> IntelliRouterError:
    """Convert an error of httpx to an `IntelliRouterError`."""
    url = settings.base_url
    if isinstance(error, httpx.ProxyError):
        return GatewayUnreachableError(
            f"The proxy {settings.proxy} did not connect to the gateway at {url}: {error}.",
            envelope={"code": "unreachable", "hint": "Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."},
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return GatewayUnreachableError(
            f"The certificate of the gateway at {url} is not trusted: {error}.",
            envelope={"code": "unreachable", "hint": "Set SSL_CERT_FILE to the file of its certificate authority."},
        )
    if isinstance(error, _NOT_SENT_ERRORS):
        through = "" if settings.proxy is None else f" through the proxy {settings.proxy}"
        reason, hint = _connect_problem(str(error))
        return GatewayUnreachableError(
            f"Cannot connect to a gateway at {url}{through}{reason}.", envelope={"code": "unreachable", "hint": hint}
        )
    if isinstance(error, httpx.TimeoutException):
        return ResponseTimeoutError(
            f"The gateway at {url} sent no data for {settings.timeout_s:g} s.", envelope={"code": "timeout"}
        )
    reason = str(error) or type(error).__name__
    envelope = {"code": "connection_lost"}
    if "without sending a response" in reason:
        envelope["hint"] = "Check that the address is that of a gateway, and whether it must start with https."
    return GatewayUnreachableError(f"The connection to {url} was lost: {reason.removesuffix('.')}.", envelope=envelope)


def _connect_problem(text: str) -> tuple[str, str]:
    """Return why connecting failed, to be appended to a sentence, and a hint."""
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text or "UNEXPECTED_EOF" in text:
        return ": it does not use TLS", "Use an address that starts with http, or start the gateway with a certificate."
    if any(phrase in text for phrase in _UNKNOWN_NAME):
        return ": its name is unknown", "Check the name, or use an IP address."
    return "", "Start a gateway with `intellirouter serve`, or set INTELLIROUTER_BASE_URL to the address of one."
