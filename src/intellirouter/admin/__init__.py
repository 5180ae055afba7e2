"""The control plane's REST API. Door: `build_admin`, `build_api` (its routes alone, to be described), `ControlPlane`.

It reads what other rooms show and asks the spine for dry runs; it serves no model traffic.
"""

from intellirouter.admin.app import build_admin, build_api
from intellirouter.admin.plane import ControlPlane

__all__ = ["ControlPlane", "build_admin", "build_api"]
