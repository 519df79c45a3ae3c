"""The protocol of TensorStore, the same for every format."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from apograph.release.open import open_release
from apograph.release.tensor_store import open_store
from tests.release.checkpoints import FORMATS, gptq, write_safetensors
from tests.release.refusals import refused


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(7)
    return {
        "b.weight": rng.standard_normal((160, 256)).astype(np.float32),
        "a.weight": (rng.standard_normal((64, 64)) / 8).astype(np.float32),
        "a.bias": rng.standard_normal(64).astype(np.float32),
    }


@pytest.fixture(scope="module", params=FORMATS, ids=lambda f: f.name)
def written(request, arrays, tmp_path_factory):
    store = request.param.open(tmp_path_factory.mktemp("store"), arrays)
    yield request.param, store
    store.close()


def test_names_shapes_and_nothing_unexamined(written, arrays):
    _, store = written
    assert {name: info.shape for name, info in store.infos.items()} == {n: a.shape for n, a in arrays.items()}
    assert store.unexamined == ()
    store.check()


def test_values_within_the_rounding_of_the_format(written, arrays):
    form, store = written
    for name, array in arrays.items():
        values = store.block(name, 0, array.size)
        assert values.dtype == (np.float64 if form.name == "F64" else np.float32)
        scale = np.abs(array).max(axis=-1, keepdims=True)
        assert (np.abs(values.reshape(array.shape) - array) <= form.error * scale).all()


def test_values_do_not_depend_on_the_blocks(written, arrays):
    _, store = written
    for name, array in arrays.items():
        whole = store.block(name, 0, array.size)
        for step in (1, 7, 32, 1000):
            starts = range(0, min(array.size, 60 * step), step)
            for start in starts:
                stop = min(start + step, array.size)
                assert np.array_equal(store.block(name, start, stop), whole[start:stop])
        assert len(store.block(name, 5, 5)) == 0


def test_threads_read_the_same(written, arrays):
    _, store = written
    whole = {name: store.block(name, 0, array.size) for name, array in arrays.items()}
    jobs = [
        (name, start, start + 13)
        for name, array in arrays.items()
        for start in range(0, array.size - 13, 997)
    ]
    with ThreadPoolExecutor(4) as pool:
        for (name, start, stop), values in zip(jobs, pool.map(lambda j: store.block(*j), jobs), strict=True):
            assert np.array_equal(values, whole[name][start:stop])


def test_raw_is_the_storage(written, arrays):
    form, store = written
    out = np.empty(1 << 20, np.uint8)
    for name, array in arrays.items():
        raw = store.raw(name, 0, array.size)
        if form.quantised and (array.ndim == 2):
            assert raw is None
            continue
        again = store.raw(name, 0, array.size, out)
        assert np.array_equal(raw, again)
        if store.dtype(name) == "F32":
            assert np.array_equal(raw, array.reshape(-1).view(np.uint32))
        if not (form.quantised or "transposed" in form.name):
            assert np.shares_memory(again, out)


def test_beyond_the_tensor(written, arrays):
    _, store = written
    for start, stop in ((-1, 3), (0, arrays["a.weight"].size + 1), (5, 4)):
        with pytest.raises(IndexError):
            store.block("a.weight", start, stop)


def test_gptq_with_its_order_of_inputs(tmp_path, arrays):
    parts = gptq("m", arrays["a.weight"])
    store = open_store(write_safetensors(tmp_path / "m.safetensors", parts))
    shuffled = np.random.default_rng(5).permutation(64)
    values = store.block("m.weight", 0, 64 * 64).reshape(64, 64)
    assert np.abs(values - arrays["a.weight"][:, shuffled]).max() < 0.1
    assert store.dtype("m.weight") == "GPTQ4"


def test_gptq_v2_zero_points_stand_as_they_are(tmp_path, arrays):
    parts = gptq("m", arrays["a.weight"])
    write_safetensors(tmp_path / "model.safetensors", parts)
    first = open_store(tmp_path).block("m.weight", 0, 64)
    config = {"quantization_config": {"checkpoint_format": "gptq_v2"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    second = open_store(tmp_path).block("m.weight", 0, 64)
    groups, scales = parts["m.g_idx"][1], parts["m.scales"][1].astype(np.float32)
    assert np.allclose(second - first, scales[groups, 0], rtol=1e-3)


def test_a_parts_mismatch_is_named_and_the_parts_remain(tmp_path, arrays):
    parts = dict(gptq("m", arrays["a.weight"]))
    parts["m.g_idx"] = ("I32", np.zeros(63, np.int32))
    store = open_store(write_safetensors(tmp_path / "m.safetensors", parts))
    assert [u.reason.key for u in store.unexamined] == ["readers.packed.shape"]
    assert set(store.infos) == set(parts)


def test_a_group_beyond_the_scales_is_refused(tmp_path, arrays):
    parts = dict(gptq("m", arrays["a.weight"]))
    parts["m.g_idx"] = ("I32", np.full(64, 9, np.int32))
    store = open_store(write_safetensors(tmp_path / "m.safetensors", parts))
    assert refused(lambda: store.block("m.weight", 0, 4)).code == 2


def test_microscaling_in_safetensors_is_named(tmp_path):
    tensors = {
        "m_blocks": ("U8", np.zeros((2, 16), np.uint8)),
        "m_scales": ("U8", np.zeros((2, 1), np.uint8)),
    }
    store = open_store(write_safetensors(tmp_path / "m.safetensors", tensors))
    assert [u.reason.key for u in store.unexamined] == ["readers.packed.scheme"]


def test_types_without_values_are_named_and_can_be_refused(tmp_path):
    store = open_store(
        write_safetensors(tmp_path / "m.safetensors", {"c": ("C64", np.ones(3, np.complex64))})
    )
    assert [u.reason.params["dtype"] for u in store.unexamined] == ["C64"]
    assert refused(lambda: store.block("c", 0, 1)).code == 2


def test_a_file_that_changes_is_refused(tmp_path):
    path = write_safetensors(tmp_path / "m.safetensors", {"w": ("F32", np.ones(1000, np.float32))})
    store = open_store(path)
    store.check()
    os.truncate(path, 2000)
    assert refused(lambda: store.block("w", 0, 1000)).message.key == "readers.store.changed"
    assert refused(store.check).code == 2


def test_a_release_opens_as_its_folder_does(tmp_path, arrays):
    write_safetensors(tmp_path / "model.safetensors", {n: ("F32", a) for n, a in arrays.items()})
    (tmp_path / "config.json").write_text('{"model_type": "x"}')
    release = open_release(str(tmp_path))
    store = open_store(release)
    assert np.array_equal(store.block("a.bias", 0, 64), arrays["a.bias"])


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("m.safetensors", b"PK\x05\x06" + b"\0" * 18, 2),
        ("m.npz", b"PK\x03\x04" + b"\0" * 40, 2),
        ("m.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 40, 3),
        ("m.txt", b"nothing", 3),
        ("m.safetensors", b"", 2),
        ("m.gguf", b"nothing", 2),
    ],
)
def test_other_files(tmp_path, name, data, code):
    (tmp_path / name).write_bytes(data)
    assert refused(lambda: open_store(tmp_path / name)).code == code


def test_a_numpy_archive_is_not_supported(tmp_path):
    np.savez(tmp_path / "m.npz", a=np.ones(3))
    refusal = refused(lambda: open_store(tmp_path / "m.npz"))
    assert (refusal.code, refusal.message.key) == (3, "readers.torch.numpy")


def test_an_empty_folder(tmp_path):
    assert refused(lambda: open_store(tmp_path)).code == 3
