"""The addresses of this machine, for the banner of a gateway that listens on all of them. No name is looked up."""

import contextlib
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path
from typing import Final

_SIOCGIFADDR: Final = 0x8915
"""The Linux request number that returns the IPv4 address of a network interface."""
_IPV6_ADDRESSES: Final = Path("/proc/net/if_inet6")
_UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})


def is_unspecified(host: str) -> bool:
    """Return whether an address to listen on stands for all addresses of the machine."""
    return host in _UNSPECIFIED


def reachable_addresses(host: str) -> list[str]:
    """Return the addresses, other than loopback, at which other machines reach a socket bound to `host`.

    The list is empty if the system does not provide them.
    """
    if not is_unspecified(host):
        return [host]
    found = [*_ipv4_addresses(), *(_ipv6_addresses() if host == "::" else ())]
    return [each for each in dict.fromkeys(found) if _is_shown(each)]


def _is_shown(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not parsed.is_loopback and not parsed.is_link_local


def _ipv4_addresses() -> list[str]:
    found: list[str] = []
    if not _IPV6_ADDRESSES.parent.exists():  # not Linux
        return found
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # an interface without an IPv4 address
                request = struct.pack("256s", name.encode()[:15])
                found.append(socket.inet_ntoa(fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)[20:24]))
    return found


def _ipv6_addresses() -> list[str]:
    try:
        lines = _IPV6_ADDRESSES.read_text().splitlines()
    except OSError:
        return []
    return [str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines if line.strip()]
