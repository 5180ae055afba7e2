"""Loaded by every Python process of the client tests: blocks all connections except to loopback."""

import ipaddress
import sys


def _is_loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    if text is None or not isinstance(text, str) or text in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and address and not _is_loopback(address[0]):
            raise ConnectionRefusedError(f"Client tests may connect to loopback only, not to {address[0]}.")
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"} and not _is_loopback(arguments[0]):
        raise ConnectionRefusedError(f"Client tests may connect to loopback only, not to {arguments[0]!r}.")


sys.addaudithook(_refuse_network)
