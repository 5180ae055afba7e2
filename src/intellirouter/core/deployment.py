"""What can serve a request: deployments, their endpoints and their deadlines."""

from msgspec import Struct, field

from intellirouter.core.money import Price
from intellirouter.core.profile import UNKNOWN_PROFILE, Profile
from intellirouter.core.vendor import NO_QUIRKS, AuthScheme, Quirks


class Timeouts(Struct, frozen=True, kw_only=True):
    """Deadlines of one attempt, in seconds. `total_s` covers the whole attempt, the others one phase each."""

    connect_s: float = 5.0
    first_token_s: float = 60.0
    """From the request's last byte to the first content event (stream) or response headers (non-stream)."""
    idle_s: float = 60.0
    """Between two reads of the response body."""
    total_s: float = 600.0


class Secret:
    """A credential that never prints: not in repr, str, tracebacks of f-strings or JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class UpstreamAddress(Struct, frozen=True, kw_only=True):
    """Where an upstream listens and how to reach it."""

    base_url: str
    """Scheme, host, optional port and path prefix, without a trailing slash: `https://api.openai.com/v1`.

    Empty for deployments that have no network address of their own, such as local models.
    """
    uds: str | None = None
    """Path of a unix socket; then the host in `base_url` only fills the Host header."""
    headers: tuple[tuple[str, str], ...] = ()
    """Fixed headers the operator asked for (never credentials)."""
    ca_file: str | None = None
    """A PEM file of additional trusted authorities, for upstreams with a private CA."""


class Deployment(Struct, frozen=True, kw_only=True, eq=False):
    """One concrete upstream choice: provider + upstream model + credential + price + region.

    Identity is the name: two snapshots of the configuration may hold equal-named deployments.
    """

    name: str
    provider: str
    vendor: str
    """The row in `providers/rows/` (`openai`, `ollama`, `host`, `fake`, …)."""
    upstream_model: str
    address: UpstreamAddress
    credentials: tuple[Secret, ...] = ()
    dialects: tuple[str, ...] = ("openai_chat",)
    """What the upstream speaks, best first."""
    operations: frozenset[str] | None = None
    """What the upstream serves; None = unknown, then nothing is excluded."""
    auth: AuthScheme = "bearer"
    quirks: Quirks = NO_QUIRKS
    """Facts of the vendor's endpoint."""
    profile: Profile = UNKNOWN_PROFILE
    """Facts of the model."""
    weight: float = 1.0
    region: str | None = None
    context_tokens: int | None = None
    """None = unknown; then no request is excluded for its length."""
    capabilities: frozenset[str] | None = None
    """None = unknown; then no request is excluded for what it needs."""
    price: Price | None = None
    """None = unknown, which is not zero."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: int | None = None
    """Overrides the model's and the global number of retries."""
    max_connections: int = 1024
    artifact: str | None = None
    """For our own Model Host: which weights (`bundled:smollm2-135m`, a path)."""
