"""What we know of a vendor: data, not code. The rows themselves stand in `providers/rows/`."""

from typing import Literal

from msgspec import Struct

AuthScheme = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "sigv4", "gcp", "none"]
"""How a credential is presented: `Authorization: Bearer`, a header of that name, AWS's signature, Google's OAuth."""


class Quirks(Struct, frozen=True, kw_only=True):
    """Where a vendor of an OpenAI-compatible endpoint differs from OpenAI. Each is a fact from its documentation."""

    refuses: frozenset[str] = frozenset()
    """Request members that it answers with an error: left out and reported."""
    renames: tuple[tuple[str, str], ...] = ()
    """Request members it calls otherwise: `("max_completion_tokens", "max_tokens")`."""
    reasoning_field: str = "reasoning_content"
    """The member of messages and deltas that holds thoughts."""
    has_developer_role: bool = False
    """Knows role `developer`; otherwise it is sent as `system`."""
    takes_stream_options: bool = True
    """Knows `stream_options.include_usage`; otherwise usage comes unasked, or never."""
    structured_output: Literal["json_schema", "json_object", "none"] = "json_schema"
    """What `response_format` it honours; what is missing is emulated and reported."""
    max_temperature: float | None = None
    """Higher ones are clamped and reported."""


NO_QUIRKS = Quirks()


class VendorRow(Struct, frozen=True, kw_only=True):
    """One kind of upstream. Adding an OpenAI-compatible vendor is adding one row."""

    name: str
    """What `providers.<name>.vendor` says: `openai`, `groq`, `ollama`, `openai-compatible`, `host`, `fake`."""
    title: str
    """For people: `OpenAI`, `Groq`."""
    base_url: str | None = None
    """None: the operator must state it (`openai-compatible`), or there is none (`host`, `fake`). `{region}` in it is
    filled with the provider's region."""
    base_url_hint: str = ""
    """What the address looks like where it must be stated, with the parts to fill in capital letters."""
    dialects: tuple[str, ...] = ("openai_chat",)
    """What it speaks, best first. A client of one of them is relayed; any other is translated to the first."""
    operations: frozenset[str] | None = None
    """Which surfaces it serves; None = unknown, then nothing is excluded."""
    auth: AuthScheme = "bearer"
    quirks: Quirks = NO_QUIRKS
    transport: Literal["http", "host", "fake"] = "http"
    """How it is reached: over the pool, as a worker of our own Model Host, or in this process."""
    credential_env: tuple[str, ...] = ()
    """Environment variables that usually hold the credential; zero config looks for them. `A+B`: both, joined by `:`.
    """
    needs_credential: bool = True
    local_port: int | None = None
    """Where it listens on this machine by default; zero config probes it."""
    price_provider: str | None = None
    """The id of the provider in the price list; None if it is free or unknown."""
    is_free: bool = False
    """Runs on the operator's own hardware: the price is zero, and known."""
    default_models: tuple[str, ...] = ()
    """Upstream models that zero config offers by name (small, cheap, current)."""
    docs: str = ""
    """Where the vendor documents what this row says."""
