"""Durable objects with an address of their own: files, batches and stored responses.

Door: `Files`, `Batches` (with `LineRunner`, which answers a batch's lines), `StoredResponses`, and the shapes that any
resource is made of: `Resource`, `ResourceRequest`, `Download`, `Page`. They keep what clients store in the object store
and run work that outlives a request; they know nothing of HTTP connections.
"""

from intellirouter.resources.batches.lines import LineRunner
from intellirouter.resources.batches.resource import Batches
from intellirouter.resources.files.resource import Files
from intellirouter.resources.pages import JSON, Page, live, ready
from intellirouter.resources.resource import Download, Resource, ResourceRequest
from intellirouter.resources.responses.resource import StoredResponses

__all__ = [
    "JSON",
    "Batches",
    "Download",
    "Files",
    "LineRunner",
    "Page",
    "Resource",
    "ResourceRequest",
    "StoredResponses",
    "live",
    "ready",
]
