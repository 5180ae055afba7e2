"""The control plane's REST API: health, models, credentials, finished requests, dry runs.

Door: `build_admin`, `build_api` (the FastAPI application, for the OpenAPI document) and `ControlPlane` (its
dependencies). It serves no requests to models.
"""

from intellirouter.admin.app import build_admin, build_api
from intellirouter.admin.plane import ControlPlane

__all__ = ["ControlPlane", "build_admin", "build_api"]
