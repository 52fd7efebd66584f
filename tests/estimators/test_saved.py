import io
import json
import pickle
import zipfile
from copy import deepcopy
from dataclasses import replace

import pytest
import skops.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from tale_core import files
from tale_core.errors import EstimatorFileError, InputError
from tale_core.estimators import archive, saved
from tale_core.estimators.candidates import CANDIDATES, Data
from tale_core.estimators.predictor import TrainedEstimator, probe_values
from tale_core.estimators.saved import Use
from tests.estimators.simulated import MODEL, TEMPLATE, question, rows

REGRESSION = Use("regression", MODEL, TEMPLATE)


@pytest.fixture(scope="module")
def packed(regressed):
    return archive.to_bytes(regressed)


def repacked(data, change):
    """The archive with some of its parts replaced; `change` gets and returns {name: bytes}."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        parts = change({name: old.read(name) for name in old.namelist()})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)
    return out.getvalue()


def with_metadata(data, **changes):
    return repacked(data, lambda p: p | {"tale.json": json.dumps(json.loads(p["tale.json"]) | changes).encode()})


def with_state(data, state):
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(state))) as hostile:
        parts = {name: hostile.read(name) for name in hostile.namelist()}
    return repacked(data, lambda p: parts | {"tale.json": p["tale.json"]})


def refused(data, words):
    with pytest.raises(EstimatorFileError, match=words):
        archive.from_bytes(data, where="it.skops")


CHOICES = [(name, i) for name, c in CANDIDATES.items() for i in range(len(c.settings))]


@pytest.mark.parametrize(("name", "setting"), CHOICES)
def test_every_candidate_with_every_setting_survives_a_file(regressed, name, setting):
    candidate = CANDIDATES[name]
    state = candidate.fit(Data.of(rows(30)), candidate.settings[setting])
    metadata = replace(regressed.metadata, candidate=name, length=None)
    metadata = replace(metadata, probes=probe_values(metadata, state))
    loaded = archive.from_bytes(archive.to_bytes(TrainedEstimator(metadata, state)), where="it")
    assert loaded.metadata == metadata
    assert loaded.budget(question(5), 20) == TrainedEstimator(metadata, state).budget(question(5), 20)


def test_metadata_are_read_without_the_state(regressed, packed):
    broken = repacked(packed, lambda p: {"tale.json": p["tale.json"]})
    assert archive.metadata_of(broken, where="it") == regressed.metadata


def test_a_file_with_another_type_is_refused_by_name(packed):
    refused(with_state(packed, {"a": LinearRegression()}), "sklearn.linear_model._base.LinearRegression")


def test_a_function_is_refused_by_name(packed):
    refused(with_state(packed, {"a": json.loads}), "json.loads")


def test_a_loader_that_is_not_ours_is_refused_though_the_type_is(packed):
    def swap(parts):
        return parts | {"schema.json": parts["schema.json"].replace(b'"ListNode"', b'"ObjectNode"')}

    refused(repacked(packed, swap), "builtins.list")


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_a_pickle_is_refused_and_never_loaded(packed):
    refused(pickle.dumps(_Bomb()), "no skops file")
    arrays = [n for n in zipfile.ZipFile(io.BytesIO(packed)).namelist() if n.endswith(".npy")]
    refused(repacked(packed, lambda p: p | {arrays[0]: pickle.dumps(_Bomb())}), "content is damaged")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(packed, share):
    refused(packed[: int(len(packed) * share)], "damaged, or no skops file")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_refused_or_harmless(regressed, packed, data):
    at = data.draw(st.integers(0, len(packed) - 1))
    hurt = bytearray(packed)
    hurt[at] ^= data.draw(st.integers(1, 255))
    try:
        loaded = archive.from_bytes(bytes(hurt), where="it")
    except EstimatorFileError:
        return
    assert loaded.metadata.probes == regressed.metadata.probes


def test_a_file_of_the_future_says_what_to_do(packed):
    refused(with_metadata(packed, format=2), "newer version of this program .*Update this program")
    refused(with_metadata(packed, features=0), "another version of this program .*Train it again")


@pytest.mark.parametrize(
    "changes",
    [{"fallback": 0}, {"radius": -1}, {"kind": "other"}, {"report": {}}, {"version": "../../x"}, {"rows": "many"},
     {"candidate": "nothing"}, {"probes": []}],
)  # fmt: skip
def test_metadata_out_of_range_are_refused(packed, changes):
    refused(with_metadata(packed, **changes), "not a usable estimator")


def test_an_estimator_that_predicts_something_else_now_is_refused(regressed, packed):
    probes = [p + 0.01 for p in regressed.metadata.probes]
    refused(with_metadata(packed, probes=probes), "no longer predicts what it did .*scikit-learn")


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(packed, monkeypatch):
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1000)
    refused(packed, "unpacks to more")


@pytest.fixture(scope="module")
def boosted():
    """A fitted boosting, which takes most of the time of each test that has one of its own."""
    boosting = CANDIDATES["boosting"]
    return boosting.fit(Data.of(rows(40)), boosting.settings[0])


@pytest.mark.parametrize("nested", [False, True], ids=["of-budgets", "of-lengths"])
@pytest.mark.parametrize(("column", "value"), [("left", 1_000_000), ("right", 0), ("feature_idx", 999)])
def test_a_tree_that_points_outside_of_itself_is_refused_before_it_is_walked(regressed, boosted, column, value, nested):
    state = deepcopy(boosted) | {"length": deepcopy(boosted)}
    metadata = replace(regressed.metadata, candidate="boosting", length="boosting")
    metadata = replace(metadata, probes=probe_values(metadata, state))
    damaged = state["length"] if nested else state
    damaged["median"]._predictors[0][0].nodes[column][0] = value
    refused(archive.to_bytes(TrainedEstimator(metadata, state)), "content is damaged")


def test_a_saved_estimator_is_found_listed_loaded_and_deleted(regressed):
    kept = saved.save(regressed)
    assert saved.listing().estimators == (kept,) and saved.find(REGRESSION) == kept
    assert kept.load().budget(question(3)) == regressed.budget(question(3))
    assert kept.load().vanilla_tokens(question(3)) == regressed.vanilla_tokens(question(3)) is not None
    saved.delete(kept)
    assert saved.listing().estimators == ()
    with pytest.raises(InputError, match=r"no regression estimator for simulated .*train-estimator --model simulated"):
        saved.find(REGRESSION)


def other_version(estimator, version, trained_on):
    return TrainedEstimator(replace(estimator.metadata, version=version, trained_on=trained_on), estimator.state)


def test_the_newest_is_used_until_another_is_chosen_and_again_after_that_is_deleted(regressed):
    old = saved.save(other_version(regressed, "20260101-aaaaaaaa", "2026-01-01"))
    new = saved.save(regressed)
    assert saved.find(REGRESSION) == new and saved.default_version(REGRESSION) is None
    saved.set_default(old)
    assert saved.find(REGRESSION) == old and saved.find(REGRESSION, new.metadata.version) == new
    saved.delete(old)
    assert saved.find(REGRESSION) == new and saved.default_version(REGRESSION) is None


def test_a_shipped_estimator_is_used_after_ones_own_and_cannot_be_deleted(regressed, tmp_path, monkeypatch):
    mine = saved.save(other_version(regressed, "20260101-aaaaaaaa", "2026-01-01"))
    monkeypatch.setattr(saved, "SHIPPED", tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "x.skops").write_bytes(archive.to_bytes(regressed))
    assert saved.find(REGRESSION) == mine
    saved.delete(mine)
    shipped = saved.find(REGRESSION)
    assert shipped.shipped and shipped.load().version == regressed.version
    with pytest.raises(InputError, match="came with this program"):
        saved.delete(shipped)


def test_an_unusable_file_is_named_and_hides_no_other(regressed):
    kept = saved.save(regressed)
    (saved.folder() / "broken.skops").write_bytes(b"PK")
    listing = saved.listing()
    assert listing.estimators == (kept,)
    assert len(listing.problems) == 1 and "broken.skops" in listing.problems[0]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 9, "defaults": []}', '{"format": 1, "defaults": [{}]}', "[" * 99_999]
)
def test_a_damaged_file_of_defaults_says_what_to_do(regressed, content):
    saved.save(regressed)
    (saved.folder() / "defaults.json").write_text(content)
    with pytest.raises(EstimatorFileError, match=r"defaults.json is damaged .*Delete it"):
        saved.find(REGRESSION)


def test_nothing_half_written_is_left_when_the_disk_fails(regressed, monkeypatch):
    kept = saved.save(regressed)
    before = kept.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(EstimatorFileError, match="No space left"):
        saved.save(regressed)
    assert [p.name for p in saved.folder().iterdir()] == [kept.path.name]
    assert kept.path.read_bytes() == before
