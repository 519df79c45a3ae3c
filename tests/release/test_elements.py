import gguf
import ml_dtypes
import numpy as np
import pytest

from apograph.release.elements import element_type
from apograph.release.safetensors_header import BITS


@pytest.mark.parametrize("dtype", sorted(BITS))
def test_every_type_of_safetensors_has_values_or_none_by_decision(dtype):
    kind = element_type(dtype)
    if dtype in ("C64", "F6_E2M3", "F6_E3M2"):
        assert kind is None
    else:
        assert kind.size * 8 == BITS[dtype] * kind.elements
        assert len(kind.decode(np.zeros(kind.size * 6, np.uint8))) == 6 * kind.elements


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        ("BF16", ml_dtypes.bfloat16),
        ("F16", np.float16),
        ("F8_E4M3", ml_dtypes.float8_e4m3fn),
        ("F8_E5M2", ml_dtypes.float8_e5m2),
        ("F8_E4M3FNUZ", ml_dtypes.float8_e4m3fnuz),
        ("F8_E8M0", ml_dtypes.float8_e8m0fnu),
    ],
)
def test_every_code_has_its_value(dtype, stored):
    width = np.dtype(stored).itemsize
    codes = np.arange(1 << (8 * width)).astype(f"<u{width}")
    values = element_type(dtype).decode(codes.view(np.uint8))
    assert np.array_equal(values, codes.view(stored).astype(np.float32), equal_nan=True)
    assert values.dtype == np.float32


def test_two_to_a_byte():
    assert element_type("F4").decode(np.array([0x21, 0xF7], np.uint8)).tolist() == [0.5, 1.0, 6.0, -6.0]


def test_wide_integers_are_exact():
    values = element_type("I64").decode(np.array([1 << 52, -3], "<i8").view(np.uint8))
    assert values.tolist() == [float(1 << 52), -3.0]


@pytest.mark.parametrize(
    "kind", [k for k in gguf.GGMLQuantizationType if k in gguf.GGML_QUANT_SIZES], ids=str
)
def test_gguf_types_are_those_that_the_package_dequantises(kind):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    data = np.random.default_rng(1).integers(0, 256, 3 * size).astype(np.uint8)
    ours = element_type(kind.name)
    try:
        with np.errstate(all="ignore"):
            theirs = gguf.quants.dequantize(data.reshape(3, size), kind).reshape(-1)
    except NotImplementedError:
        assert ours is None or kind.name in ("F64", "I8", "I16", "I32", "I64")
        return
    with np.errstate(all="ignore"):
        assert np.array_equal(ours.decode(data), theirs, equal_nan=True)
    assert (ours.elements, ours.size) == (elements, size)


def test_an_unknown_type():
    assert element_type("X99") is None
