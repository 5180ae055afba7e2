"""API resources that are stored in the database: files, batches and responses.

Door: `Files`, `Batches` (with `LineRunner`, which runs a batch's lines), `Responses` with `ResponsesStage` and
`BackgroundResponses`, `PinStage` (who has created what a request refers to), the stores behind them
(`AsyncObjectStore`, `FileStore`, `ResponseStore`, `PinStore`), and the types of every resource: `Resource`,
`ResourceRequest`, `Download`, `Page`. They store objects for clients and run work that continues after its request.
They do not know HTTP connections.
"""

from intellirouter.resources.batches.lines import LineRunner
from intellirouter.resources.batches.resource import Batches
from intellirouter.resources.files.file_store import FileStore
from intellirouter.resources.files.resource import Files
from intellirouter.resources.object_store import AsyncObjectStore
from intellirouter.resources.pages import JSON, Page, live, ready
from intellirouter.resources.pins.stage import PinStage
from intellirouter.resources.pins.store import PinStore
from intellirouter.resources.resource import Download, Resource, ResourceRequest, check_small
from intellirouter.resources.responses.background import BackgroundResponses
from intellirouter.resources.responses.resource import Responses
from intellirouter.resources.responses.stage import ResponsesStage
from intellirouter.resources.responses.store import ResponseStore

__all__ = [
    "JSON",
    "AsyncObjectStore",
    "BackgroundResponses",
    "Batches",
    "Download",
    "FileStore",
    "Files",
    "LineRunner",
    "Page",
    "PinStage",
    "PinStore",
    "Resource",
    "ResourceRequest",
    "ResponseStore",
    "Responses",
    "ResponsesStage",
    "check_small",
    "live",
    "ready",
]
