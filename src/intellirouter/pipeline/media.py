"""Fetches media that a request refers to by URL, for upstreams that need the bytes."""

import asyncio
import base64
from collections.abc import Sequence
from functools import partial
from typing import Final

from intellirouter.core import SMALL_BYTES, Call, Fetcher, OffLoop, errors

_MAX_URLS: Final = 32
_MAX_BYTES: Final = 20 * 1024 * 1024
"""Limit for all media of one request together."""
_DEADLINE_S: Final = 30.0


async def fetch_media(fetcher: Fetcher | None, call: Call, urls: Sequence[str], off_loop: OffLoop) -> None:
    """Fetch `urls` into `call.fetched` in parallel. Raises `InvalidRequest` if one cannot or must not be fetched."""
    if fetcher is None:
        raise errors.UnsupportedFeature(
            "This model accepts media only as data, not as URLs.", hint="Send the media as base64 data."
        )
    if len(urls) > _MAX_URLS:
        raise errors.InvalidRequest(
            f"The request contains {len(urls)} media URLs, but at most {_MAX_URLS} are allowed.", code="too_many_urls"
        )
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {
                url: group.create_task(fetcher.fetch(url, limit_bytes=_MAX_BYTES, deadline_s=_DEADLINE_S))
                for url in urls
            }
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    fetched = dict(call.fetched or {})
    total = 0
    for url, task in tasks.items():
        media_type, data = task.result()
        total += len(data)
        if total > _MAX_BYTES:
            raise errors.InvalidRequest(
                f"The media of the request's URLs are larger than {_MAX_BYTES} bytes in total.", code="media_too_large"
            )
        if len(data) > SMALL_BYTES:
            text = await off_loop.run(len(data), partial(_base64, data))
        else:
            text = _base64(data)
        fetched[url] = (media_type, text)
    call.fetched = fetched


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
