"""Service links: variables that Kubernetes and Docker add to a container for every service around it.

For a Service `api`, Kubernetes sets `API_PORT=tcp://10.0.0.1:80`, `API_SERVICE_HOST`, `API_SERVICE_PORT` and others.
Some of these names are also names of settings.
"""

import re
from typing import Final

_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://\S+", re.IGNORECASE)
_NAME: Final = re.compile(
    r"(?P<service>[A-Z0-9]+(_[A-Z0-9]+)*?)_"
    r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|PORT)"
)


def is_service_link(text: str) -> bool:
    """Return whether the value of a variable is the address of a service, such as `tcp://10.0.0.1:80`."""
    return _ADDRESS.fullmatch(text.strip()) is not None


def linked_service(name: str, text: str) -> str | None:
    """Return the service that a variable describes, as the start of its name, or None if it is not a service link."""
    found = _NAME.fullmatch(name)
    if found is None or (name == f"{found['service']}_PORT" and not is_service_link(text)):
        return None
    return found["service"]
