"""IntelliRouter: an LLM gateway that decides, explains, fails over and accounts.

`import intellirouter` does no I/O and loads nothing heavy. The Python client is resolved on first use:
`intellirouter.Client`, `intellirouter.AsyncClient`. The server is the `intellirouter` command.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intellirouter.client import AsyncClient, Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> Any:
    if name in {"Client", "AsyncClient"}:
        from intellirouter import client  # noqa: PLC0415 - keeps `import intellirouter` free of httpx

        return getattr(client, name)
    raise AttributeError(f"module 'intellirouter' has no attribute {name!r}")
