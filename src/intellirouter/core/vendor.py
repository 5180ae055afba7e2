"""What we know of a vendor: data, not code. The rows themselves stand in `providers/rows.py`."""

from typing import Literal

from msgspec import Struct


class VendorRow(Struct, frozen=True, kw_only=True):
    """One kind of upstream. Adding an OpenAI-compatible vendor is adding one row."""

    name: str
    """What `providers.<name>.vendor` says: `openai`, `groq`, `ollama`, `openai-compatible`, `host`, `fake`."""
    title: str
    """For people: `OpenAI`, `Groq`."""
    base_url: str | None = None
    """None: the operator must state it (`openai-compatible`), or there is none (`host`, `fake`)."""
    dialect: str = "openai_chat"
    transport: Literal["http", "host", "fake"] = "http"
    """How it is reached: over the pool, as a worker of our own Model Host, or in this process."""
    credential_env: tuple[str, ...] = ()
    """Environment variables that usually hold the credential; zero config looks for them."""
    needs_credential: bool = True
    local_port: int | None = None
    """Where it listens on this machine by default; zero config probes it."""
    price_provider: str | None = None
    """The provider's id in the price catalogue; None for what costs nothing or is unknown."""
    is_free: bool = False
    """Runs on the operator's own hardware: the price is zero, and known."""
    default_models: tuple[str, ...] = ()
    """Upstream models that zero config offers by name (small, cheap, current)."""
