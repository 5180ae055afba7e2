"""The shared gateways and vendors."""

from tests.support.gateway.fixtures import gateway, vendor
from tests.support.translation.fixtures import dialect_processes, world

__all__ = ["dialect_processes", "gateway", "vendor", "world"]
