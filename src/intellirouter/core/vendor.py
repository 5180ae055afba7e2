"""Facts about vendors, as data. The rows are in `providers/rows/`."""

from typing import Literal

from msgspec import Struct

AuthScheme = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "sigv4", "gcp", "none"]
"""How requests are authenticated: `Authorization: Bearer`, a header of that name, AWS Signature V4, or Google OAuth."""


class Quirks(Struct, frozen=True, kw_only=True):
    """How an OpenAI-compatible API differs from OpenAI's, according to the vendor's documentation."""

    refuses: frozenset[str] = frozenset()
    """Request fields that the vendor rejects. They are dropped and reported."""
    renames: tuple[tuple[str, str], ...] = ()
    """Request fields with another name: `("max_completion_tokens", "max_tokens")`."""
    reasoning_field: str = "reasoning_content"
    """The field of messages and deltas that contains the model's reasoning."""
    has_developer_role: bool = False
    """The role `developer` is supported. Otherwise it is sent as `system`."""
    takes_stream_options: bool = True
    """`stream_options.include_usage` is supported. Otherwise streams report usage always or never."""
    structured_output: Literal["json_schema", "json_object", "none"] = "json_schema"
    """The best supported `response_format`. Better ones are emulated and reported."""
    max_temperature: float | None = None
    """Higher temperatures are clamped and reported."""


NO_QUIRKS = Quirks()


class VendorRow(Struct, frozen=True, kw_only=True):
    """One kind of upstream. Each OpenAI-compatible vendor is one row."""

    name: str
    """The value of `providers.<name>.vendor`: `openai`, `groq`, `ollama`, `openai-compatible`, `host`, `fake`."""
    title: str
    """The vendor's name for display: `OpenAI`, `Groq`."""
    base_url: str | None = None
    """None if the configuration must set it (`openai-compatible`), or if there is none (`host`, `fake`). `{region}` is
    replaced by the provider's region."""
    base_url_hint: str = ""
    """An example of the URL if the configuration must set it, with the variable parts in capital letters."""
    dialects: tuple[str, ...] = ("openai_chat",)
    """The supported dialects, preferred one first. Requests in one of them are passed through; all others are
    translated to the first."""
    operations: frozenset[str] | None = None
    """The supported operations. None if unknown; then none is excluded."""
    auth: AuthScheme = "bearer"
    quirks: Quirks = NO_QUIRKS
    transport: Literal["http", "host", "fake"] = "http"
    """How the upstream is reached: over the network, as a worker of the local model host, or inside this process."""
    credential_env: tuple[str, ...] = ()
    """Environment variables that usually contain the credential; discovery reads them. `A+B`: both, joined by `:`."""
    needs_credential: bool = True
    local_port: int | None = None
    """The default port of a server on this machine; discovery probes it."""
    price_provider: str | None = None
    """The provider's id in the price list; None if it is free or not listed."""
    is_free: bool = False
    """The upstream runs on the operator's own hardware, so the price is known to be zero."""
    default_models: tuple[str, ...] = ()
    """Upstream models that discovery configures: small, cheap, current."""
    docs: str = ""
    """URL of the vendor's documentation of these facts."""
