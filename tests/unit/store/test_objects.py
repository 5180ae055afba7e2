"""Objects of tenants: stored, listed, expired, deleted with their children, invisible to other tenants."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from intellirouter.store import ObjectStore, StoredObject, StoreUnavailable, part_id
from intellirouter.store.migrate import upgrade


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    url = f"sqlite:///{tmp_path}/objects.db"
    upgrade(url)
    opened = ObjectStore(url, lambda: None)
    yield opened
    opened.close()


def stored(number: int = 1, **members: object) -> StoredObject:
    given = {"kind": "response", "id": f"resp_{number:03}", "tenant": "acme", "created_us": number, "content": b"x"}
    return StoredObject(**{**given, **members})  # type: ignore[arg-type]


def test_object_is_stored_and_returned_unchanged(store: ObjectStore) -> None:
    one = stored(status="completed", meta=b'{"a":1}', content=bytes(range(256)) * 5000, expires_us=9)
    store.put(one)
    assert store.get("response", "resp_001", "acme", 8) == one


def test_put_replaces_an_existing_object(store: ObjectStore) -> None:
    store.put(stored(status="queued"))
    store.put(stored(status="completed", content=None))
    assert store.get("response", "resp_001", "acme", 0) == stored(status="completed", content=None)
    assert len(store.page("response", "acme", 0)) == 1


def test_tenants_cannot_access_objects_of_others(store: ObjectStore) -> None:
    store.put(stored())
    store.put(stored(2, tenant="other", parent="resp_001"))
    assert store.get("response", "resp_001", "other", 0) is None
    assert [each.id for each in store.page("response", "other", 0)] == ["resp_002"]
    assert store.children("response", "resp_001", "acme") == []
    assert not store.delete("response", "resp_001", "other")
    assert store.delete("response", "resp_001", "acme")
    assert store.get("response", "resp_002", "other", 0) is not None  # a foreign child is not deleted along
    assert store.get("file", "resp_001", "acme", 0) is None


def test_pages_follow_the_id_in_both_directions(store: ObjectStore) -> None:
    store.put_all([stored(number) for number in range(1, 8)])
    newest = store.page("response", "acme", 0, limit=3)
    assert [each.id for each in newest] == ["resp_007", "resp_006", "resp_005"]
    assert all(each.content is None for each in newest)
    assert [each.id for each in store.page("response", "acme", 0, limit=9, after="resp_005")] == [
        "resp_004", "resp_003", "resp_002", "resp_001"
    ]  # fmt: skip
    oldest = store.page("response", "acme", 0, limit=2, after="resp_002", is_ascending=True)
    assert [each.id for each in oldest] == ["resp_003", "resp_004"]


def test_expired_objects_are_hidden_and_purged(store: ObjectStore) -> None:
    store.put_all([stored(1, expires_us=5), stored(2, parent="resp_001", kind="item")])
    assert store.get("response", "resp_001", "acme", 5) is None
    assert store.page("response", "acme", 5) == []
    for number in range(3, 70):
        store.put(stored(number))
    assert store.children("item", "resp_001", "acme") == []


def test_children_are_deleted_with_their_parent(store: ObjectStore) -> None:
    children = [stored(number, kind="batch_result", parent="batch_1") for number in (3, 2)]
    store.put_all([stored(kind="batch", id="batch_1"), *children])
    assert [each.id for each in store.children("batch_result", "batch_1", "acme")] == ["resp_002", "resp_003"]
    assert store.delete("batch", "batch_1", "acme")
    assert store.children("batch_result", "batch_1", "acme") == []
    assert not store.delete("batch", "batch_1", "acme")


def test_unfinished_objects_of_all_tenants_are_found(store: ObjectStore) -> None:
    store.put_all(
        [
            stored(1, kind="batch", status="in_progress"),
            stored(2, kind="batch", status="completed"),
            stored(3, kind="batch", status="validating", tenant="other"),
        ]
    )
    found = store.unfinished("batch", ["in_progress", "validating"])
    assert [(each.tenant, each.id) for each in found] == [("acme", "resp_001"), ("other", "resp_003")]


def test_several_objects_are_stored_together_or_not_at_all(store: ObjectStore) -> None:
    broken = structs.replace(stored(2), meta=None)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        store.put_all([stored(1), broken])
    assert store.page("response", "acme", 0) == []


def test_store_that_is_not_open_raises_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="opening"):
        ObjectStore(f"sqlite:///{tmp_path}/a.db", lambda: "still opening").page("response", "acme", 0)
    with pytest.raises(StoreUnavailable, match="There is no database"):
        ObjectStore(f"sqlite:///{tmp_path}/a.db", lambda: None).page("response", "acme", 0)


def part(owner: str, number: int, size_bytes: int = 4, **members: object) -> StoredObject:
    given = {"kind": "file_part", "id": part_id(owner, number), "parent": owner, "content": b"p" * size_bytes}
    return stored(number, **{**given, **members})


def test_parts_are_returned_in_order_and_up_to_a_size(store: ObjectStore) -> None:
    store.put_all([part("file-1", number, 10) for number in (2, 0, 11, 1)])
    store.put_all([part("file-10", 0), part("file-1", 3, tenant="other"), part("file-1", 4, kind="batch_input")])
    first = store.parts("file_part", "file-1", "acme", "", 15)
    assert [each.id for each in first] == [part_id("file-1", 0), part_id("file-1", 1)]
    assert all(each.content == b"p" * 10 for each in first)
    rest = store.parts("file_part", "file-1", "acme", first[-1].id, 10_000)
    assert [each.id for each in rest] == [part_id("file-1", 2), part_id("file-1", 11)]
    assert store.parts("file_part", "file-1", "acme", rest[-1].id, 10_000) == []
    assert [each.id for each in store.parts("file_part", "file-1", "acme", "", 1)] == [part_id("file-1", 0)]


def test_part_marks_have_no_content(store: ObjectStore) -> None:
    store.put_all([part("batch_1", number, status="ok", meta=b"[1]") for number in range(3)])
    marks = store.part_marks("file_part", "batch_1", "acme", part_id("batch_1", 0))
    assert [(each.id, each.status, each.meta, each.content) for each in marks] == [
        (part_id("batch_1", 1), "ok", b"[1]", None),
        (part_id("batch_1", 2), "ok", b"[1]", None),
    ]


def test_parts_are_deleted_up_to_a_number(store: ObjectStore) -> None:
    store.put_all([part("batch_1", number) for number in range(5)])
    store.put_all([part("batch_2", 0), part("batch_1", 9, tenant="other")])
    assert [store.delete_parts("file_part", "batch_1", "acme", 2) for _ in range(4)] == [2, 2, 1, 0]
    assert len(store.parts("file_part", "batch_2", "acme", "", 1)) == 1
    assert len(store.parts("file_part", "batch_1", "other", "", 1)) == 1
