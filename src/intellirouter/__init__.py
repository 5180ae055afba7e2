"""IntelliRouter: an LLM gateway that routes requests, fails over, explains its decisions and accounts for the cost.

`import intellirouter` does no I/O and is fast. The Python client, `intellirouter.Client` and
`intellirouter.AsyncClient`, is imported on first use. The command `intellirouter` runs the gateway.
"""

TYPE_CHECKING = False  # importing typing would take most of the time
if TYPE_CHECKING:
    from intellirouter.client import AsyncClient, Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> object:
    if name in {"Client", "AsyncClient"}:
        from intellirouter import client  # noqa: PLC0415 - keeps `import intellirouter` free of httpx

        return getattr(client, name)
    raise AttributeError(f"module 'intellirouter' has no attribute {name!r}")
