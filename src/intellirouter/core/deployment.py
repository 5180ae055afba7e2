"""What can serve a request: deployments, their addresses, credentials and timeouts."""

from typing import Final, Literal

from msgspec import Struct, field

from intellirouter.core import errors
from intellirouter.core.answer_limits import DEFAULT_ANSWER_LIMITS, AnswerLimits
from intellirouter.core.egress import DIRECT, ClientCertificate, ProxyRules
from intellirouter.core.money import Price
from intellirouter.core.profile import UNKNOWN_PROFILE, Profile
from intellirouter.core.secret import Secret
from intellirouter.core.vendor import NO_QUIRKS, AuthScheme, Quirks


class Timeouts(Struct, frozen=True, kw_only=True):
    """Timeouts of one attempt, in seconds. `total_s` covers the whole attempt, the others one phase each."""

    connect_s: float = 5.0
    first_token_s: float = 60.0
    """From the last byte of the request to the first content (streams) or to the response headers (otherwise)."""
    idle_s: float = 60.0
    """Between two reads of the response body."""
    total_s: float = 600.0
    min_tokens_per_s: float = 0.0
    """What a stream must produce after its first content; 0: it may be as slow as it is."""
    throughput_window_s: float = 30.0
    """How long it may produce nothing, if it must produce something."""


Phase = Literal["first_token_s", "idle_s", "total_s", "min_tokens_per_s"]
"""The timeouts of a request that has been sent, and the throughput that its stream must have."""


def timeout_error(upstream: str, phase: Phase, timeouts: Timeouts) -> errors.UpstreamTimeout:
    """Return the error for an upstream that exceeded one of its timeouts."""
    match phase:
        case "first_token_s":
            problem = f"did not respond within {timeouts.first_token_s:g} s"
        case "idle_s":
            problem = f"sent nothing for {timeouts.idle_s:g} s"
        case "total_s":
            problem = f"did not complete its response within {timeouts.total_s:g} s"
        case "min_tokens_per_s":
            problem = f"produced fewer than {timeouts.min_tokens_per_s:g} tokens per second for too long"
    return errors.UpstreamTimeout(f"{upstream} {problem} (timeouts.{phase}).")


class UpstreamAddress(Struct, frozen=True, kw_only=True):
    """The address of an upstream."""

    base_url: str
    """Scheme, host, optional port and path prefix, without a trailing slash: `https://api.openai.com/v1`.

    Empty for deployments that have no network address of their own, such as local models.
    """
    uds: str | None = None
    """Path of a unix socket. If it is set, the host in `base_url` is only used for the Host header."""
    headers: tuple[tuple[str, str], ...] = ()
    """Additional headers from the configuration; never credentials."""
    ca_file: str | None = None
    """A file with additional trusted CA certificates."""
    client_certificate: ClientCertificate | None = None
    proxies: ProxyRules = DIRECT


_LOCAL_CONTEXT_HINT: Final = (
    "Shorten the request, or raise host.context_tokens, or the deployment's context_tokens if that is set."
)


class Deployment(Struct, frozen=True, kw_only=True, eq=False):
    """One upstream choice: provider, upstream model, credentials, price and region.

    The name identifies a deployment across reloads of the configuration.
    """

    name: str
    provider: str
    vendor: str
    """Name of the vendor row (`openai`, `ollama`, `host`, `fake`, …)."""
    upstream_model: str
    address: UpstreamAddress
    credentials: tuple[Secret, ...] = ()
    dialects: tuple[str, ...] = ("openai_chat",)
    """The dialects that the upstream supports, preferred one first."""
    operations: frozenset[str] | None = None
    """The operations that the upstream supports. None if unknown; then none is excluded."""
    auth: AuthScheme = "bearer"
    quirks: Quirks = NO_QUIRKS
    """Facts of the vendor's endpoint."""
    profile: Profile = UNKNOWN_PROFILE
    """Facts of the model."""
    weight: float = 1.0
    region: str | None = None
    context_tokens: int | None = None
    """Size of the context window. None if unknown; then no request is too long."""
    capabilities: frozenset[str] | None = None
    """None if unknown; then every request is accepted."""
    price: Price | None = None
    """None if unknown, which does not mean free."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    marks_prompt_cache: bool = True
    """Whether translated requests get prompt-cache marks, if they pay."""
    retries: int | None = None
    """Overrides the number of retries of the model and of the configuration."""
    max_connections: int = 1024
    limits: AnswerLimits = DEFAULT_ANSWER_LIMITS
    artifact: str | None = None
    """The weights of a local model: `bundled:smollm2-135m`, or a path."""

    @property
    def context_hint(self) -> str:
        """How to fix a request that exceeds the context window."""
        return _LOCAL_CONTEXT_HINT if self.artifact is not None else ""
