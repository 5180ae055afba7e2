"""Which path is which endpoint. Fixed paths are one dictionary look-up; the rest carry a model."""

from urllib.parse import unquote

from intellirouter.core import EMPTY_CONTEXT, RequestContext
from intellirouter.dialects import STANDARD_DIALECTS, Endpoint, ErrorStyle
from intellirouter.gateway import description
from intellirouter.gateway.asgi import Scope


def endpoint_of(path: str) -> tuple[Endpoint, str, bool] | None:
    """Return the endpoint of a path that names its model, the model, and whether the path asks for a stream."""
    found = STANDARD_DIALECTS.match(path)
    return None if found is None else (found.endpoint, unquote(found.model), found.is_stream)


def context_of(endpoint: Endpoint, scope: Scope, model: str = "", *, is_stream: bool = False) -> RequestContext:
    """Return what the request says outside its body, as far as its dialect gives it a meaning."""
    if not model and not endpoint.header_names:
        return EMPTY_CONTEXT
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name in endpoint.header_names
    )
    query = "&".join(
        part for part in scope["query_string"].decode("latin-1").split("&") if part and not part.startswith("key=")
    )
    return RequestContext(model=model, is_stream=is_stream, query=query, headers=headers)


def errors_of(path: str, headers: dict[bytes, bytes]) -> ErrorStyle:
    """Return how errors look to the clients of a path, which need not be one of ours."""
    return STANDARD_DIALECTS.errors_at(path, headers)


def is_control(path: str) -> bool:
    """Return whether a path is the control plane's: below `/api/`, and neither a dialect's nor the description's."""
    return path.startswith("/api/") and not STANDARD_DIALECTS.has_path(path) and path not in description.PATHS
