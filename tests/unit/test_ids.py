from __future__ import annotations

from gateway.service.ids import queue_id

NOW = 1_800_000_000.0


def test_queue_ids_sort_by_time_and_differ() -> None:
    ids = [queue_id(NOW + n / 1000) for n in range(1000)]
    assert ids == sorted(ids)
    assert len({queue_id(NOW) for _ in range(20)}) == 20  # of 25 bits: two of a thousand would often be equal
    assert len(ids[0]) == 13
