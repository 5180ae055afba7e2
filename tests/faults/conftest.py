"""The shared gateway and vendor."""

from tests.support.gateway.fixtures import gateway, vendor

__all__ = ["gateway", "vendor"]
