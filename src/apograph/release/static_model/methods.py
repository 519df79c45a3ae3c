"""Methods of modules, tensors, texts, lists and dictionaries; containers and tensors of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apograph.release.static_model.layers import shape_of
from apograph.release.static_model.values import UNKNOWN, Class, Config, Net, Outside, Shape, Tensor, Value

if TYPE_CHECKING:
    from apograph.release.static_model.statements import Statements

Arguments = tuple[Value, ...]
Named = dict[str, Value]

_SAME_TEXT = """
to cuda cpu float half bfloat16 double eval train requires_grad_ contiguous clone detach normal_ zero_
fill_ uniform_ type type_as data compile apply
"""
_SAME = frozenset(_SAME_TEXT.split())
_TEXT = frozenset(["lower", "upper", "strip", "split", "startswith", "endswith", "replace"])
_FILLED = frozenset(["zeros", "ones", "empty", "rand", "randn"])
_LIKE = frozenset(["zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"])


def created(name: str, args: Arguments, kwargs: Named) -> Value | None:
    """The tensor that a function of torch makes, None when it is not such a function."""
    last = name.rpartition(".")[2]
    if name.startswith("torch.nn.init."):
        return args[0] if args else None
    if name in {"torch.nn.Parameter", "torch.nn.parameter.Parameter"}:
        first = args[0] if args else kwargs.get("data", UNKNOWN)
        return Tensor(first.shape if isinstance(first, Tensor) else None, True)
    if name.startswith("torch.nn"):
        return None
    if last in _FILLED or last == "full":
        return Tensor(_sizes(args[:1] if last == "full" else args, kwargs))
    if last in _LIKE:
        return Tensor(args[0].shape if args and isinstance(args[0], Tensor) else None)
    return Tensor() if last[:1].islower() and name.count(".") == 1 else None


def _sizes(args: Arguments, kwargs: Named) -> Shape:
    sizes = kwargs.get("size", args[0] if len(args) == 1 else args)
    return shape_of(*sizes) if isinstance(sizes, list | tuple) else shape_of(sizes)


def container(last: str, args: Arguments, kwargs: Named) -> Net | None:
    """``ModuleList``, ``Sequential``, ``ModuleDict``, ``ParameterList``; None for anything else."""
    if last not in {"ModuleList", "Sequential", "ModuleDict", "ParameterList", "ParameterDict"}:
        return None
    net = Net(f"torch.nn.{last}", sequence=not last.endswith("Dict"))
    if last == "Sequential" and not (len(args) == 1 and isinstance(args[0], dict)):
        for child in args:
            net.append(child)
        return net
    content = args[0] if args else next(iter(kwargs.values()), [])
    if isinstance(content, dict):
        net.sequence = False
        for key, child in content.items():
            _add(net, str(key), child)
    elif isinstance(content, list | tuple):
        for index, child in enumerate(content):
            if last == "ParameterList":
                _add(net, str(index), child)
            else:
                net.append(child)
    elif isinstance(content, Net):
        for child in content.children.values():
            net.append(child)
        net.open, net.cuts = net.open or content.open, content.cuts
    else:
        net.open = True
    return net


def _add(net: Net, name: str, child: Value) -> None:
    if isinstance(child, Net):
        net.children[name] = child
    elif isinstance(child, Tensor):
        net.parameters[name] = child.shape
    elif child is not None:
        net.open = True


def method(reader: Statements, owner: Value, name: str, args: Arguments, kwargs: Named) -> Value:
    """The value of ``owner.name(*args, **kwargs)``."""
    if isinstance(owner, Net):
        return _of_module(reader, owner, name, args, kwargs)
    if isinstance(owner, Tensor):
        return owner if name in _SAME else Tensor()
    if isinstance(owner, Config):
        return (
            dict(owner.data)
            if name == "to_dict"
            else owner.data.get(str(args[0]), UNKNOWN)
            if args
            else UNKNOWN
        )
    if isinstance(owner, dict):
        return _of_dict(reader, owner, name, args)
    if isinstance(owner, list):
        return _of_list(reader, owner, name, args)
    if isinstance(owner, str) and name in _TEXT and all(isinstance(a, str) for a in args) and not kwargs:
        try:
            return getattr(owner, name)(*args) if len(owner) <= 10_000 else UNKNOWN
        except (TypeError, ValueError):
            return UNKNOWN
    return UNKNOWN


def _of_module(reader: Statements, net: Net, name: str, args: Arguments, kwargs: Named) -> Value:
    first = args[0] if args else kwargs.get("name", kwargs.get("module", UNKNOWN))
    second = (
        args[1] if len(args) > 1 else kwargs.get("module", kwargs.get("param", kwargs.get("tensor", UNKNOWN)))
    )
    if name in {"append", "extend", "insert"}:
        added = first if name == "extend" else [second if name == "insert" else first]
        children = list(added.children.values()) if isinstance(added, Net) and not added.open else added
        if reader.unsure or not isinstance(children, list | tuple) or name == "insert":
            net.open = True
        else:
            for child in children:
                net.append(child)
        return net
    if name in {"add_module", "register_module", "register_parameter", "register_buffer"}:
        if not isinstance(first, str):
            net.open = True
        elif name == "register_buffer":
            persistent = args[2] if len(args) > 2 else kwargs.get("persistent", True)
            net.attributes[first] = second
            if persistent is not False:
                net.parameters[first] = second.shape if isinstance(second, Tensor) else None
                net.optional.add(first)  # whether buffers are stored has changed between versions
        else:
            reader.store(net, first, second)
        return None
    if name == "update" and isinstance(first, dict):
        for key, child in first.items():
            reader.store(net, str(key), child)
        return None
    if name in {"items", "values", "keys"} and not net.open:
        return list(getattr(net.children, name)())
    if name in _SAME:
        return net
    return Net(name, open=True, maybe=True, place=net.place) if net.open else UNKNOWN


def _of_dict(reader: Statements, owner: dict[Any, Value], name: str, args: Arguments) -> Value:
    if name in {"items", "keys", "values"}:
        return [tuple(i) if isinstance(i, tuple) else i for i in getattr(owner, name)()]
    if name == "copy":
        return dict(owner)
    if name in {"get", "pop"} and args and isinstance(args[0], str | int):
        value = owner.get(args[0], args[1] if len(args) > 1 else None)
        if name == "pop" and not reader.unsure:
            owner.pop(args[0], None)
        return value
    if name == "update" and args and isinstance(args[0], dict):
        owner.update(dict.fromkeys(args[0], UNKNOWN) if reader.unsure else args[0])
    return UNKNOWN


def _of_list(reader: Statements, owner: list[Value], name: str, args: Arguments) -> Value:
    if name == "append" and len(args) == 1:
        owner.append(UNKNOWN if reader.unsure else args[0])
    elif name == "extend" and args:
        owner.extend(args[0] if isinstance(args[0], list | tuple) and not reader.unsure else [UNKNOWN])
    elif name in {"insert", "pop", "remove", "clear", "sort", "reverse"}:
        owner.append(UNKNOWN)
    return UNKNOWN if name not in {"append", "extend"} else None


def instance_of(value: Value, dotted: str, cls: Value) -> bool | object:
    """``isinstance`` where it can be told."""
    plain = {"int": int, "str": str, "float": float, "dict": dict, "list": list, "tuple": tuple, "bool": bool}
    if dotted in plain:
        if isinstance(value, bool | int | float | str | list | tuple | dict | type(None)):
            return isinstance(value, plain[dotted])
        return UNKNOWN if value is UNKNOWN or (isinstance(value, Net) and value.maybe) else False
    if isinstance(value, Config):
        if isinstance(cls, Class) and isinstance(value.cls, Class):
            return True if value.cls.node is cls.node else UNKNOWN
        if isinstance(cls, Outside) and isinstance(value.cls, Outside):
            return True if value.cls.last == cls.last else UNKNOWN
    if isinstance(value, bool | int | float | str | list | tuple | dict | type(None)) and isinstance(
        cls, Class
    ):
        return False
    return UNKNOWN
