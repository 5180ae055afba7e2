"""Which addresses may be connected to for a URL that a stranger wrote. Pure.

By default the public internet and nothing else: not this machine, not its neighbours, not what clouds tell their
machines about themselves, and no IPv6 address that leads to such an IPv4 one.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSED_V4: Final = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carriers' own
        "168.63.129.16/32",  # Azure's services for its machines
        "169.254.0.0/16",  # link-local: most clouds' metadata
        "192.0.0.0/24",  # protocol assignments: Oracle's metadata
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
    )
)
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(
    ipaddress.IPv6Network(each)
    for each in (
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",
    )
)


class AddressGuard:
    """Says yes to public addresses and to what the operator allowed."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """`allowed`: host names, addresses, networks (`10.0.0.0/8`)."""
        self._hosts: set[str] = set()
        self._networks: list[_Network] = []
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._hosts.add(entry.lower().rstrip("."))

    def allows_host(self, host: str) -> bool:
        """Tell whether the operator allowed this name, wherever it leads."""
        return host.lower().rstrip(".") in self._hosts

    def allows_address(self, text: str) -> bool:
        """Tell whether this address, as the resolver gave it, may be connected to."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address.version == net.version and address in net for net in self._networks) or _is_public(address)


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        is_odd = address.is_multicast or address.is_reserved or any(address in net for net in _REFUSED_V4)
        return address.is_global and not is_odd
    if address.scope_id is not None or address not in _GLOBAL_V6:
        return False  # mapped and translated IPv4 addresses, local ones and multicast are all outside
    return address.is_global and not any(address in net for net in _REFUSED_V6)
