"""What a path and its headers say about a request in addition to its body, and which paths the control plane serves."""

from intellirouter.core import EMPTY_CONTEXT, RequestContext
from intellirouter.dialects import Dialects, Endpoint
from intellirouter.gateway import description
from intellirouter.gateway.http import RequestHead


def context_of(endpoint: Endpoint, head: RequestHead, model: str = "", *, is_stream: bool = False) -> RequestContext:
    """Return the parts of the request outside its body that belong to its dialect."""
    if not model and not endpoint.header_names:
        return EMPTY_CONTEXT
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in head.fields
        if name in endpoint.header_names
    )
    query = "&".join(part for part in head.query.decode("latin-1").split("&") if part and not part.startswith("key="))
    return RequestContext(model=model, is_stream=is_stream, query=query, headers=headers)


def is_control(path: str, dialects: Dialects) -> bool:
    """Return whether the control plane serves the path: all of `/api/`, except Ollama's endpoints and the API docs."""
    return path.startswith("/api/") and not dialects.has_path(path) and path not in description.PATHS
