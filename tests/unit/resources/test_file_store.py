"""Files: quotas per tenant, and expiry."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from intellirouter.config.runtime import FilesSpec
from intellirouter.core import errors
from intellirouter.resources.files.file_store import FileStore, StoredFile
from intellirouter.resources.object_store import AsyncObjectStore
from intellirouter.store import ObjectStore
from intellirouter.store.migrate import upgrade
from intellirouter.testing import FakeClock
from tests.support.objects import is_only_gateway

DAY_S = 86_400


class Shelf:
    def __init__(self, url: str) -> None:
        self.clock = FakeClock()
        self.store = ObjectStore(url, lambda: None)
        self.limits = FilesSpec(max_tenant_bytes=100, max_tenant_files=3)
        objects = AsyncObjectStore(self.store, self.clock, is_only_gateway)
        self.files = FileStore(objects, self.clock, lambda: self.limits)

    async def save(self, size_bytes: int, tenant: str = "acme", expires_after_s: int | None = None) -> StoredFile:
        file = self.files.new(tenant, "x.txt", "user_data", size_bytes, expires_after_s)
        await self.files.save(file, memoryview(bytes(size_bytes)))
        return file


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    url = f"sqlite:///{tmp_path}/objects.db"
    upgrade(url)
    made = Shelf(url)
    yield made
    made.store.close()


async def test_tenant_cannot_store_more_bytes_than_its_quota(shelf: Shelf) -> None:
    first = await shelf.save(60)
    await shelf.save(40)
    with pytest.raises(errors.InvalidRequest, match=r"no room left .* 100 of 100 bytes") as caught:
        await shelf.save(1)
    assert caught.value.code == "storage_limit_exceeded"
    await shelf.save(100, tenant="other")
    assert await shelf.files.delete("acme", first.id)
    await shelf.save(60)


async def test_tenant_cannot_store_more_files_than_its_quota(shelf: Shelf) -> None:
    for _ in range(3):
        await shelf.save(0)
    with pytest.raises(errors.InvalidRequest, match="It has 3 files"):
        await shelf.save(0)
    await shelf.save(0, tenant="other")


async def test_concurrent_uploads_cannot_exceed_the_quota(shelf: Shelf) -> None:
    results = await asyncio.gather(*(shelf.save(40) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, StoredFile) for each in results) == 2


async def test_expired_files_do_not_count(shelf: Shelf) -> None:
    await shelf.save(100, expires_after_s=3600)
    shelf.clock.advance(3601)
    await shelf.save(100)


async def test_files_expire_after_the_configured_time(shelf: Shelf) -> None:
    file = await shelf.save(1)
    assert file.metadata.expires_at == file.metadata.created_at + 30 * DAY_S
    shelf.limits = structs.replace(shelf.limits, keep_days=2.0)
    file = await shelf.save(1)
    assert file.metadata.expires_at == file.metadata.created_at + 2 * DAY_S
    shelf.clock.advance(2 * DAY_S)
    assert await shelf.files.find("acme", file.id) is None
