"""Members of requests that are reserved for the gateway, in every dialect.

Clients that set one expect the gateway to act on it. An upstream would ignore it, or reject it with an error that does
not help.
"""

from msgspec import Struct

from intellirouter.core import errors


class ReservedMembers(Struct, kw_only=True):
    """Base of requests. Its members must be absent or null, which the JSON decoder checks."""

    requirements: None = None


def reserved_member(path: str) -> errors.InvalidRequest | None:
    """Return the error for an invalid member at this path, if it is a reserved one."""
    if path not in ReservedMembers.__struct_fields__:
        return None
    return errors.InvalidRequest(
        f"'{path}' is not supported in this version.",
        code="unsupported_parameter",
        param=path,
        hint="Remove it. Only `model`, and the configuration of that model, decide which deployment is called.",
    )
