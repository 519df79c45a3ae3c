"""The layers of ``torch.nn``: which parameters and buffers each stores, and of which shape.

After the constructors of PyTorch's documentation (torch.nn). What is not listed here is left open.
"""

from __future__ import annotations

from collections.abc import Callable

from apograph.release.static_model.values import UNKNOWN, Net, Shape, Value

_WITHOUT_PARAMETERS_TEXT = """
Identity Dropout Dropout1d Dropout2d Dropout3d AlphaDropout ReLU ReLU6 GELU SiLU Mish Sigmoid Tanh
Softmax LogSoftmax LeakyReLU ELU CELU SELU GLU Hardtanh Hardswish Hardsigmoid Softplus Softsign Flatten
Unflatten Upsample PixelShuffle PixelUnshuffle MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d
AvgPool3d Unfold Fold AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d
AdaptiveMaxPool2d ZeroPad2d ReflectionPad2d ConstantPad2d CrossEntropyLoss MSELoss L1Loss BCELoss
BCEWithLogitsLoss NLLLoss KLDivLoss SmoothL1Loss CosineSimilarity Module
"""
WITHOUT_PARAMETERS = frozenset(_WITHOUT_PARAMETERS_TEXT.split())
Arguments = Callable[[int, str, Value], Value]


def layer(name: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Net | None:
    """The module that ``torch.nn.<name>(*args, **kwargs)`` makes; None when it is not known here."""
    net = Net(f"torch.nn.{name}")
    if name in WITHOUT_PARAMETERS:
        return net

    def get(index: int, key: str, default: Value = UNKNOWN) -> Value:
        return args[index] if index < len(args) else kwargs.get(key, default)

    build = _BUILDERS.get(
        name.rstrip("123d") if name.startswith(("Conv", "BatchNorm", "InstanceNorm")) else name
    )
    if build is None:
        return None
    build(net, get, name)
    return net


def shape_of(*sizes: Value) -> Shape:
    """A shape when every size is a positive integer, else None."""
    if all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in sizes):
        return tuple(sizes)
    return None


def _flag(net: Net, name: str, shape: Shape, wanted: Value) -> None:
    """Add a parameter that a switch controls; an unknown switch makes it optional."""
    if wanted is UNKNOWN:
        net.optional.add(name)
    if wanted is UNKNOWN or wanted:
        net.parameters[name] = shape


def _linear(net: Net, get: Arguments, name: str) -> None:
    fan_in, fan_out = get(0, "in_features", UNKNOWN), get(1, "out_features", UNKNOWN)
    net.parameters["weight"] = shape_of(fan_out, fan_in)
    _flag(net, "bias", shape_of(fan_out), get(2, "bias", True))


def _embedding(net: Net, get: Arguments, name: str) -> None:
    net.parameters["weight"] = shape_of(get(0, "num_embeddings", UNKNOWN), get(1, "embedding_dim", UNKNOWN))


def _normalised(sizes: Value) -> Shape:
    return shape_of(*sizes) if isinstance(sizes, list | tuple) else shape_of(sizes)


def _layer_norm(net: Net, get: Arguments, name: str) -> None:
    shape = _normalised(get(0, "normalized_shape", UNKNOWN))
    affine = get(2, "elementwise_affine", True)
    _flag(net, "weight", shape, affine)
    if name == "LayerNorm":
        bias = get(3, "bias", True)
        _flag(net, "bias", shape, False if affine is False else bias)


def _group_norm(net: Net, get: Arguments, name: str) -> None:
    shape, affine = shape_of(get(1, "num_channels", UNKNOWN)), get(3, "affine", True)
    _flag(net, "weight", shape, affine)
    _flag(net, "bias", shape, affine)


def _batch_norm(net: Net, get: Arguments, name: str) -> None:
    instance = name.startswith("Instance")
    shape = shape_of(get(0, "num_features", UNKNOWN))
    affine, track = get(3, "affine", not instance), get(4, "track_running_stats", not instance)
    _flag(net, "weight", shape, affine)
    _flag(net, "bias", shape, affine)
    for buffer, size in (("running_mean", shape), ("running_var", shape), ("num_batches_tracked", ())):
        _flag(net, buffer, size, track)


def _convolution(net: Net, get: Arguments, name: str) -> None:
    transposed = "Transpose" in name
    dimensions = int(name[-2])
    inner, outer, kernel = (
        get(0, "in_channels", UNKNOWN),
        get(1, "out_channels", UNKNOWN),
        get(2, "kernel_size", UNKNOWN),
    )
    groups = get(6, "groups", 1)
    bias = get(7, "bias", True)
    sizes = tuple(kernel) if isinstance(kernel, list | tuple) else (kernel,) * dimensions
    first, second = (inner, outer) if transposed else (outer, inner)
    known = isinstance(second, int) and isinstance(groups, int) and groups > 0
    net.parameters["weight"] = shape_of(first, second // groups if known else UNKNOWN, *sizes)
    _flag(net, "bias", shape_of(outer), bias)


def _attention(net: Net, get: Arguments, name: str) -> None:
    width = get(0, "embed_dim", UNKNOWN)
    key, value = get(6, "kdim", None), get(7, "vdim", None)
    bias, extra = get(3, "bias", True), get(4, "add_bias_kv", False)
    key, value = (width if key is None else key), (width if value is None else value)
    tripled = width * 3 if isinstance(width, int) else UNKNOWN
    if key == width and value == width:
        net.parameters["in_proj_weight"] = shape_of(tripled, width)
    else:
        net.parameters["q_proj_weight"] = shape_of(width, width)
        net.parameters["k_proj_weight"] = shape_of(width, key)
        net.parameters["v_proj_weight"] = shape_of(width, value)
    _flag(net, "in_proj_bias", shape_of(tripled), bias)
    for extra_name in ("bias_k", "bias_v"):
        _flag(net, extra_name, shape_of(1, 1, width), extra)
    projection = Net("torch.nn.Linear", {"weight": shape_of(width, width)})
    _flag(projection, "bias", shape_of(width), bias)
    net.children["out_proj"] = projection


def _prelu(net: Net, get: Arguments, name: str) -> None:
    net.parameters["weight"] = shape_of(get(0, "num_parameters", 1))


_BUILDERS: dict[str, Callable[[Net, Arguments, str], None]] = {
    "Linear": _linear,
    "Embedding": _embedding,
    "LayerNorm": _layer_norm,
    "RMSNorm": _layer_norm,
    "GroupNorm": _group_norm,
    "BatchNorm": _batch_norm,
    "InstanceNorm": _batch_norm,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "MultiheadAttention": _attention,
    "PReLU": _prelu,
}
