"""Finds the endpoint of a path that contains a model name, and the context and error style of any path."""

from urllib.parse import unquote

from intellirouter.core import EMPTY_CONTEXT, RequestContext
from intellirouter.dialects import STANDARD_DIALECTS, Endpoint, ErrorStyle
from intellirouter.gateway import description
from intellirouter.gateway.asgi import Scope


def endpoint_of(path: str) -> tuple[Endpoint, str, bool] | None:
    """Return endpoint, model and whether the path requests a stream, for a path that contains the model's name."""
    found = STANDARD_DIALECTS.match(path)
    return None if found is None else (found.endpoint, unquote(found.model), found.is_stream)


def context_of(endpoint: Endpoint, scope: Scope, model: str = "", *, is_stream: bool = False) -> RequestContext:
    """Return the parts of the request outside its body that belong to its dialect."""
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
    """Return the error style for clients of a path, which may be unknown."""
    return STANDARD_DIALECTS.errors_at(path, headers)


def is_control(path: str) -> bool:
    """Return whether the control plane serves the path: all of `/api/`, except Ollama's endpoints and the API docs."""
    return path.startswith("/api/") and not STANDARD_DIALECTS.has_path(path) and path not in description.PATHS
