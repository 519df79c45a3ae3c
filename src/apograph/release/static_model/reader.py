"""Calls, read symbolically: what the constructors of a release build, without running any of them."""

from __future__ import annotations

import ast

from apograph.release.static_model.arithmetic import PURE, pure
from apograph.release.static_model.evaluate import MOST_ITEMS, Frame
from apograph.release.static_model.layers import layer
from apograph.release.static_model.layouts import published
from apograph.release.static_model.members import MODULE_MEMBERS, Ancestor, ancestry, is_module
from apograph.release.static_model.methods import container, created, instance_of, method
from apograph.release.static_model.statements import Statements, outside
from apograph.release.static_model.values import (
    UNKNOWN,
    Bound,
    Class,
    Config,
    Function,
    Method,
    Net,
    Outside,
    Partial,
    Super,
    Tensor,
    Value,
)

DEEPEST_CALL = 30
PLAIN_BASES = (
    "PreTrainedModel",
    "torch.nn.Module",
    "nn.modules.module.Module",
    "GradientCheckpointingLayer",
    "Mixin",
    "object",
    "ABC",
    "Generic",
)
"""External ancestors (by the end of their name) that bring no parameters."""


class Reader(Statements):
    """Builds the modules of a release symbolically (see the package)."""

    depth = 0

    def call(self, node: ast.Call, frame: Frame) -> Value:
        """The value of a call expression."""
        if isinstance(node.func, ast.Name) and node.func.id == "super":
            return Super(frame.me, frame.owner) if frame.owner else UNKNOWN
        target = self.value(node.func, frame)
        args = tuple(self.items(node.args, frame))
        kwargs: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, frame)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, dict):
                kwargs |= {k: v for k, v in value.items() if isinstance(k, str)}
        return self.invoke(target, args, kwargs, (frame.source.path, node.lineno))

    def invoke(
        self,
        target: Value,
        args: tuple[Value, ...],
        kwargs: dict[str, Value],
        place: tuple[str, int] = ("", 0),
    ) -> Value:
        """The value of ``target(*args, **kwargs)``."""
        if isinstance(target, Partial):
            return self.invoke(target.target, (*target.args, *args), {**target.kwargs, **kwargs}, place)
        if isinstance(target, Class):
            return self.construct(target, args, kwargs, place)
        if isinstance(target, Function):
            return self.run(target, args, kwargs)
        if isinstance(target, Bound):
            return self.run(target.function, (target.owner, *args), kwargs, target.owner)
        if isinstance(target, Method):
            if isinstance(target.owner, Super):
                return self._above(target.owner, target.name, args, kwargs)
            return method(self, target.owner, target.name, args, kwargs)
        if isinstance(target, Outside):
            built = self._outside(target, args, kwargs, place)
            if isinstance(built, Net) and not built.place[0]:
                built.place = place
            return built
        return UNKNOWN

    def construct(
        self, cls: Class, args: tuple[Value, ...], kwargs: dict[str, Value], place: tuple[str, int]
    ) -> Value:
        """An instance of a class of the release."""
        me: Net | Config
        if is_module(self.project, cls.source, cls.node):
            me = Net(cls.node.name, cls=cls, place=place)
        else:
            me = Config({}, cls)
        line = ancestry(self.project, cls.source, cls.node)
        self._init(me, line, args, kwargs)
        return me

    def _init(
        self, me: Value, line: list[Ancestor], args: tuple[Value, ...], kwargs: dict[str, Value]
    ) -> None:
        """Run the first constructor among these ancestors."""
        for ancestor in line:
            if ancestor.node is None or ancestor.source is None:
                self._outside_init(me, ancestor.dotted, args, kwargs)
                if not ancestor.dotted.endswith(("Mixin", "object", "ABC", "Generic", "Protocol")):
                    return
                continue
            function = _method_of(ancestor.node, "__init__")
            if function is not None:
                owner = Class(ancestor.source, ancestor.node)
                self.run(Function(ancestor.source, function, owner), (me, *args), kwargs, me)
                return

    def _outside_init(
        self, me: Value, dotted: str, args: tuple[Value, ...], kwargs: dict[str, Value]
    ) -> None:
        if isinstance(me, Config):
            me.data |= kwargs
            after = self._class_member(me, me.cls, "__post_init__") if isinstance(me.cls, Class) else None
            if after is not None and isinstance(after[0], Bound):
                self.invoke(after[0], (), {})
            return
        if not isinstance(me, Net):
            return
        config = next((a for a in (*args, *kwargs.values()) if isinstance(a, Config)), None)
        if config is not None:
            me.attributes.setdefault("config", config)
        if dotted.endswith(PLAIN_BASES):
            return
        built = self._outside(Outside(dotted), args, kwargs, me.place)
        if isinstance(built, Net) and not built.maybe:
            me.parameters |= built.parameters
            me.children |= built.children
            me.optional |= built.optional
            me.attributes |= built.attributes
            me.open, me.sequence = me.open or built.open, me.sequence or built.sequence
        else:
            me.open = True

    def _above(self, above: Super, name: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        """``super().name(...)``."""
        line = self._after(above)
        if name == "__init__":
            self._init(above.me, line, args, kwargs)
            return None
        for ancestor in line:
            function = _method_of(ancestor.node, name) if ancestor.node else None
            if function is not None and ancestor.source and ancestor.node:
                bound = Function(ancestor.source, function, Class(ancestor.source, ancestor.node))
                return self.run(bound, (above.me, *args), kwargs, above.me)
        return method(self, above.me, name, args, kwargs) if isinstance(above.me, Net) else UNKNOWN

    def _after(self, above: Super) -> list[Ancestor]:
        cls = above.me.cls if isinstance(above.me, Net | Config) else None
        if not isinstance(cls, Class):
            return []
        line = ancestry(self.project, cls.source, cls.node)
        at = next((i for i, a in enumerate(line) if a.node is above.owner.node), len(line))
        return line[at + 1 :]

    def run(
        self, function: Function, args: tuple[Value, ...], kwargs: dict[str, Value], me: Value = UNKNOWN
    ) -> Value:
        """What a function of the release returns; UNKNOWN when its branches disagree or it is too deep."""
        if self.depth >= DEEPEST_CALL:
            return UNKNOWN
        frame = Frame(function.source, self._arguments(function, args, kwargs), function.owner)
        frame.me = me
        if isinstance(function.node, ast.Lambda):
            return self.value(function.node.body, frame)
        self.depth += 1
        try:
            self.block(function.node.body, frame)
        finally:
            self.depth -= 1
        first = frame.returned[0] if frame.returned else None
        return first if all(r is first or r == first for r in frame.returned[1:]) else UNKNOWN

    def _arguments(
        self, function: Function, args: tuple[Value, ...], kwargs: dict[str, Value]
    ) -> dict[str, Value]:
        spec, home = function.node.args, Frame(function.source)
        names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        values: dict[str, Value] = dict.fromkeys([*names, *(a.arg for a in spec.kwonlyargs)], UNKNOWN)
        defaults = names[len(names) - len(spec.defaults) :]
        given = dict(zip(names, args, strict=False)) | {k: v for k, v in kwargs.items() if k in values}
        for name, default in [
            *zip(defaults, spec.defaults, strict=True),
            *((a.arg, d) for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is not None),
        ]:
            if name not in given:
                values[name] = self.value(default, home)
        values |= given
        if spec.vararg:
            values[spec.vararg.arg] = args[len(names) :]
        if spec.kwarg:
            values[spec.kwarg.arg] = {k: v for k, v in kwargs.items() if k not in values}
        return values

    def member_of_object(self, owner: Value, name: str) -> Value:
        """An attribute of a module, configuration, class or ``super()``."""
        if isinstance(owner, Super):
            return Method(owner, name)
        if isinstance(owner, Net):
            if name in owner.attributes:
                return owner.attributes[name]
            if name in owner.children:
                return owner.children[name]
            if name in owner.parameters:
                return Tensor(owner.parameters[name], True)
        elif isinstance(owner, Config) and name in owner.data:
            return owner.data[name]
        cls = owner if isinstance(owner, Class) else owner.cls
        if isinstance(owner, Config) and isinstance(cls, Class) and name != "attribute_map":
            aliases = self._class_member(cls, cls, "attribute_map")
            if aliases and isinstance(aliases[0], dict) and aliases[0].get(name) in owner.data:
                return owner.data[aliases[0][name]]
        found = self._class_member(owner, cls, name) if isinstance(cls, Class) else None
        if found is not None:
            return found[0]
        if not isinstance(owner, Net):
            return (
                Method(owner, name) if isinstance(owner, Config) and name in {"get", "to_dict"} else UNKNOWN
            )
        if owner.open and name not in MODULE_MEMBERS and not name.startswith("_"):
            owner.children[name] = Net(name, open=True, maybe=True, place=owner.place)
            return owner.children[name]
        return Method(owner, name)

    def _class_member(self, owner: Value, cls: Class, name: str) -> tuple[Value] | None:
        """(value,) of a name in a class or its ancestors."""
        for ancestor in ancestry(self.project, cls.source, cls.node):
            if ancestor.node is None or ancestor.source is None:
                continue
            home = Class(ancestor.source, ancestor.node)
            node = _method_of(ancestor.node, name)
            if node is not None:
                function = Function(ancestor.source, node, home)
                marks = {getattr(d, "id", getattr(d, "attr", "")) for d in node.decorator_list}
                if marks & {"property", "cached_property"} and not isinstance(owner, Class):
                    return (self.run(function, (owner,), {}, owner),)
                return (
                    function
                    if "staticmethod" in marks or isinstance(owner, Class)
                    else Bound(owner, function),
                )
            for statement in ancestor.node.body:
                targets = statement.targets if isinstance(statement, ast.Assign) else []
                if isinstance(statement, ast.AnnAssign) and statement.value is not None:
                    targets = [statement.target]
                if any(isinstance(t, ast.Name) and t.id == name for t in targets):
                    assert isinstance(statement, ast.Assign | ast.AnnAssign)
                    return (self.value(statement.value, Frame(ancestor.source)),)
        return None

    def _outside(
        self, target: Outside, args: tuple[Value, ...], kwargs: dict[str, Value], place: tuple[str, int]
    ) -> Value:
        """What something outside the release returns, as far as it is public knowledge."""
        name, last = target.dotted, target.last
        if name in PURE:
            return pure(name, args, kwargs)
        if name == "range":
            known = args and all(isinstance(a, int) for a in args)
            span = range(*args) if known and not (len(args) == 3 and args[2] == 0) else None
            return span if span is not None and len(span) <= MOST_ITEMS else UNKNOWN
        if name in {"getattr", "hasattr", "setattr", "isinstance"} and len(args) >= 2:
            return self._reflect(name, args)
        if name == "functools.partial" and args:
            return Partial(args[0], args[1:], kwargs)
        if last == "OrderedDict":
            return pure("dict", args, kwargs)
        if name.startswith("torch"):
            made = created(name, args, kwargs)
            if made is None and name.startswith("torch.nn"):
                made = container(last, args, kwargs) or layer(last, args, kwargs)
            if made is not None:
                return made
        if last.endswith("Config"):
            return Config(dict(kwargs), target)
        made = published(
            target.dotted.split(".")[-2] if last in {"from_config", "_from_config"} else last, args, kwargs
        )
        if made is not None:
            return made
        net = Net(name, open=True, place=place, maybe=not last[:1].isupper())
        config = next((a for a in args if isinstance(a, Config)), None)
        if config is not None:
            net.attributes["config"] = config
        return net

    def _reflect(self, name: str, args: tuple[Value, ...]) -> Value:
        owner, key = args[0], args[1]
        if name == "isinstance":
            return instance_of(owner, outside(key), key)
        if not isinstance(key, str):
            return UNKNOWN
        if name == "setattr":
            self.store(owner, key, args[2] if len(args) > 2 else UNKNOWN)
            return None
        held = owner.data if isinstance(owner, Config) else {}
        if isinstance(owner, Net):
            held = {**owner.parameters, **owner.children, **owner.attributes}
        if key in held:
            return True if name == "hasattr" else self.attribute(owner, key)
        complete = isinstance(owner, Net) and not owner.open and owner.cls is None
        if isinstance(owner, Config) and isinstance(owner.cls, Class):
            line = ancestry(self.project, owner.cls.source, owner.cls.node)
            ends = ("PretrainedConfig", "PreTrainedConfig")
            known = self._class_member(owner, owner.cls, key) is not None
            complete = not known and all(a.node is not None or a.dotted.endswith(ends) for a in line)
        if not complete:
            return UNKNOWN
        return False if name == "hasattr" else (args[2] if len(args) > 2 else UNKNOWN)


def _method_of(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((s for s in reversed(node.body) if isinstance(s, ast.FunctionDef) and s.name == name), None)
