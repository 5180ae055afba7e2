"""Decides which addresses may be fetched for an untrusted URL. Pure.

By default only addresses on the public internet are allowed: not this machine, not its private networks, not the
metadata services of clouds, and no IPv6 address that maps to such an IPv4 address.
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
        "100.64.0.0/10",  # carrier-grade NAT
        "168.63.129.16/32",  # Azure platform services
        "169.254.0.0/16",  # link-local, including the metadata services of most clouds
        "192.0.0.0/24",  # protocol assignments, including the metadata service of Oracle Cloud
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
        "2002::/16",  # 6to4: contains an IPv4 address
        "3fff::/20",
    )
)


class AddressGuard:
    """Allows public addresses and those that the operator has allowed."""

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
        """Return whether the operator allowed this host name, whatever it resolves to."""
        return host.lower().rstrip(".") in self._hosts

    def allows_address(self, text: str) -> bool:
        """Return whether this resolved address may be connected to."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address.version == net.version and address in net for net in self._networks) or _is_public(address)


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        is_special = address.is_multicast or address.is_reserved or any(address in net for net in _REFUSED_V4)
        return address.is_global and not is_special
    if address.scope_id is not None or address not in _GLOBAL_V6:
        return False  # this excludes mapped and translated IPv4 addresses, local addresses and multicast
    return address.is_global and not any(address in net for net in _REFUSED_V6)
