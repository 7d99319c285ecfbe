"""Random models of every operator that is known here, with what onnxruntime computes for them.

A model is a chain of steps. Each takes numbers whose first dimension are the rows, and gives such numbers; what it does
is drawn from the seed and the number of the model, so any model can be made again alone.
"""

import json
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT32, INT64, BOOL, HALF, DOUBLE, BFLOAT = 1, 6, 7, 9, 10, 11, 16
ML = "ai.onnx.ml"
OPSETS = range(7, 27)
ROWS, WIDTH = 5, 6


class Graph:
    def __init__(self, random, opset):
        self.random, self.opset, self.nodes, self.constants = random, opset, [], []

    def name(self):
        return f"v{len(self.nodes)}_{len(self.constants)}"

    def node(self, operator, *inputs, outputs=1, domain="", **attributes):
        names = [f"{self.name()}_{place}" for place in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values):
        name = self.name()
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def longs(self, values):
        return self.constant(np.array(values, np.int64))

    def floats(self, *shape):
        return self.random.normal(size=shape).astype(np.float32)

    def pick(self, *choices):
        return choices[self.random.integers(len(choices))]

    def chance(self):
        return bool(self.random.integers(2))

    def axis(self, shape, low=1):
        """One of the dimensions from `low` on, counted from either end."""
        place = int(self.random.integers(low, len(shape)))
        return place if self.chance() else place - len(shape)

    def cast(self, name, to=FLOAT):
        return self.node("Cast", name, to=to)

    def reshape(self, name, shape):
        return self.node("Reshape", name, self.longs([0, *shape[1:]] if self.chance() else [-1, *shape[1:]]))

    def matrix(self, value):
        """The value with two dimensions."""
        width = int(np.prod(value.shape[1:]))
        return value if len(value.shape) == 2 else value.then(self.reshape(value.name, [0, width]), [0, width])

    def deep(self, value, rank):
        """The value with three dimensions or four."""
        if len(value.shape) == rank:
            return value
        width = int(np.prod(value.shape[1:]))
        first = self.pick(*[n for n in range(1, width + 1) if width % n == 0])
        shape = [0, first, width // first] if rank == 3 else [0, 1, first, width // first]
        return value.then(self.reshape(value.name, shape), shape)

    def clip(self, name, low, high):
        if self.opset < 11:
            return self.node("Clip", name, min=float(low), max=float(high))
        return self.node("Clip", name, self.constant(np.float32(low)), self.constant(np.float32(high)))

    def unsqueeze(self, name, axes):
        if self.opset < 13:
            return self.node("Unsqueeze", name, axes=axes)
        return self.node("Unsqueeze", name, self.longs(axes))

    def operand(self, shape, **limits):
        """A constant that is stretched to the shape."""
        part = shape[int(self.random.integers(1, len(shape) + 1)):]
        part = [self.pick(1, length) for length in part]
        values = np.abs(self.floats(*part)) + 0.2 if limits.get("positive") else self.floats(*part)
        return self.constant(values.astype(np.float32))


class Value:
    def __init__(self, name, shape, exact, numbers=True):
        """`exact`: the same bits here and there, so that what jumps may follow. `numbers`: all of them are."""
        self.name, self.shape, self.exact, self.numbers = name, list(shape), exact, numbers

    def then(self, name, shape=None, exact=None, numbers=None):
        return Value(name, self.shape if shape is None else shape, self.exact if exact is None else exact,
                     self.numbers if numbers is None else numbers)


STEPS = {}


def step(*operators, jumps=False, since=7, until=99):
    def add(function):
        for operator in operators:
            STEPS.setdefault(operator, []).append((function, jumps, since, until))
        return function
    return add




for name in ["Relu", "Abs", "Neg", "Identity"]:
    step(name)(lambda g, v, name=name: v.then(g.node(name, v.name)))
step("Sign", jumps=True, since=9)(lambda g, v: v.then(g.node("Sign", v.name)))
for name in ["Floor", "Ceil"]:
    step(name, jumps=True)(lambda g, v, name=name: v.then(g.node(name, v.name)))
step("Round", jumps=True, since=11)(lambda g, v: v.then(g.node("Round", v.name)))
for name in ["Sigmoid", "Tanh", "Exp", "Softplus", "Softsign", "Sin", "Cos"]:
    step(name)(lambda g, v, name=name: v.then(g.node(name, v.name), exact=False))
step("Erf", since=9)(lambda g, v: v.then(g.node("Erf", v.name), exact=False))
step("Mish", since=18)(lambda g, v: v.then(g.node("Mish", v.name), exact=False))
step("HardSwish", since=14)(lambda g, v: v.then(g.node("HardSwish", v.name), exact=False))


@step("Elu", "Celu", "Selu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid")
def curve(g, v, name):
    if (name == "Celu" and g.opset < 12) or (name == "ThresholdedRelu" and (g.opset < 10 or not v.exact)):
        return None
    attributes = {"alpha": float(g.random.uniform(0.1, 2))} if g.chance() else {}
    if g.chance() and name in ("Selu", "HardSigmoid"):
        attributes["gamma" if name == "Selu" else "beta"] = float(g.random.uniform(0.1, 2))
    return v.then(g.node(name, v.name, **attributes), exact=False)


@step("Gelu", since=20)
def gelu(g, v):
    attributes = {"approximate": g.pick("tanh", "none")} if g.chance() else {}
    return v.then(g.node("Gelu", v.name, **attributes), exact=False)


@step("Sqrt", "Log", "Reciprocal")
def of_positive(g, v, name):
    positive = g.node("Add", g.node("Abs", v.name), g.constant(np.float32(0.2)))
    return v.then(g.node(name, positive), exact=False)


@step("Sqrt", "Log", jumps=True)
def of_any(g, v, name):
    """No number where the value is below 0."""
    return v.then(g.node(name, v.name), exact=False, numbers=False)


@step("IsNaN", jumps=True, since=9)
def is_nan(g, v):
    return v.then(g.cast(g.node("IsNaN", g.node("Log", v.name))))


@step("IsInf", jumps=True, since=10)
def is_inf(g, v):
    divisor = (g.random.integers(2, size=v.shape[-1])).astype(np.float32)
    attributes = {name: int(g.chance()) for name in ("detect_negative", "detect_positive") if g.chance()}
    return v.then(g.cast(g.node("IsInf", g.node("Div", v.name, g.constant(divisor)), **attributes)))


@step("Add", "Sub", "Mul", "Div", "PRelu")
def arithmetic(g, v, name):
    pair = [v.name, g.operand(v.shape, positive=name == "Div")]
    if g.chance() and name in ("Add", "Sub", "Mul"):
        pair.reverse()
    return v.then(g.node(name, *pair))


@step("Max", "Min", "Sum", "Mean")
def folded(g, v, name):
    if g.opset < 8:
        return None
    others = [g.operand(v.shape) for _ in range(g.random.integers(0, 3))]
    return v.then(g.node(name, v.name, *others), exact=v.exact and name not in ("Sum", "Mean"))


@step("Pow")
def power(g, v):
    if g.chance():
        exponent = g.pick(np.float32(2), np.float32(3), np.float32(1), np.float32(0))
        if g.opset >= 12 and g.chance():
            exponent = np.int64(exponent)
        return v.then(g.node("Pow", v.name, g.constant(exponent)), exact=False)
    base = g.node("Add", g.node("Abs", v.name), g.constant(np.float32(0.2)))
    return v.then(g.node("Pow", base, g.operand(v.shape)), exact=False)


@step("Mod", jumps=True, since=10)
def modulo(g, v):
    if g.chance():
        return v.then(g.node("Mod", v.name, g.operand(v.shape, positive=True), fmod=1))
    return whole_pair(g, v, "Mod", fmod=int(g.chance()))


@step("Div", "Add", "Mul", "Sub", jumps=True)
def whole_pair(g, v, name, **attributes):
    kind, divisor = g.pick((INT32, np.int32), (INT64, np.int64)), g.random.integers(1, 5, size=v.shape[-1])
    divisor = divisor * g.random.choice([-1, 1], size=v.shape[-1])
    scaled = g.node("Mul", v.name, g.constant(np.float32(5)))
    made = g.node(name, g.cast(scaled, kind[0]), g.constant(divisor.astype(kind[1])), **attributes)
    return v.then(g.cast(made))


@step("Max", "Min", "Clip", "Abs", "Neg", "Sign", "Relu", jumps=True, since=14)
def whole(g, v, name):
    values = g.cast(g.node("Mul", v.name, g.constant(np.float32(5))), INT64)
    bounds = {"Max": [g.longs(1)], "Min": [g.longs([2])], "Clip": [g.longs(-1), g.longs(3)]}.get(name, [])
    if name == "Relu":
        values = g.cast(values, INT32)
    return v.then(g.cast(g.node(name, values, *bounds)))


@step("Cast", jumps=True)
def cast(g, v):
    kind = g.pick(INT32, INT64, BOOL, DOUBLE, HALF)
    return v.then(g.cast(g.cast(v.name, kind)))


@step("CastLike", jumps=True, since=15)
def cast_like(g, v):
    like = g.pick(np.float32(0), np.int64(0), np.bool_(False))
    return v.then(g.cast(g.node("CastLike", v.name, g.constant(like))))


@step("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", jumps=True)
def comparison(g, v, name):
    if g.opset < {"Equal": 11, "LessOrEqual": 12, "GreaterOrEqual": 12}.get(name, 9):
        return None
    rounded = v.name if name != "Equal" else g.node("Round", v.name)
    other = g.operand(v.shape) if name != "Equal" else g.constant(np.float32(1))
    pair = [rounded, other]
    if g.chance():
        pair.reverse()
    return v.then(g.cast(g.node(name, *pair)))


@step("And", "Or", "Xor", "Not", jumps=True, since=9)
def logic(g, v, name):
    one = g.node("Less", v.name, g.operand(v.shape))
    other = g.node("Greater", v.name, g.operand(v.shape))
    made = g.node("Not", one) if name == "Not" else g.node(name, one, other)
    return v.then(g.cast(made))


@step("Where", jumps=True, since=9)
def where(g, v):
    condition = g.node("Less", v.name, g.operand(v.shape))
    pair = [v.name, g.operand(v.shape)]
    if g.chance():
        pair.reverse()
    return v.then(g.node("Where", condition, *pair))


@step("Clip")
def clip(g, v):
    low, high = sorted(g.floats(2))
    if g.opset < 11:
        attributes = {name: float(end) for name, end in (("min", low), ("max", high)) if g.chance()}
        return v.then(g.node("Clip", v.name, **attributes))
    ends = [g.constant(np.float32(low)) if g.chance() else "", g.constant(np.float32(high)) if g.chance() else ""]
    while ends and not ends[-1]:
        ends.pop()
    return v.then(g.node("Clip", v.name, *ends))


def by_axes(g, operator, name, axes, as_input, **attributes):
    """Axes as the opset has them."""
    if g.opset < as_input:
        return g.node(operator, name, axes=axes, **attributes)
    return g.node(operator, name, g.longs(axes), **attributes)


@step("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
      "ReduceLogSum", "ReduceLogSumExp")
def reduction(g, v, name):
    source, rank = v.name, len(v.shape)
    if name == "ReduceLogSum":
        source = g.node("Add", g.node("Abs", source), g.constant(np.float32(0.2)))
    as_input = 13 if name == "ReduceSum" else 18
    if g.opset >= as_input and g.random.integers(4) == 0:
        empty = [g.longs([])] if g.chance() else []
        return v.then(g.node(name, source, *empty, noop_with_empty_axes=1), exact=False)
    places = sorted(g.random.choice(np.arange(1, rank), size=g.random.integers(1, rank), replace=False).tolist())
    negative = g.opset >= 11 and g.chance()
    axes = [place - rank if negative else place for place in places]
    keep = g.chance()
    made = by_axes(g, name, source, axes, as_input, keepdims=int(keep))
    shape = [1 if place in places else length for place, length in enumerate(v.shape)]
    if not keep:
        shape = [length for place, length in enumerate(v.shape) if place not in places]
        if len(shape) == 1:
            made, shape = g.unsqueeze(made, [1]), [0, 1]
    return v.then(made, shape, exact=False)


@step("ArgMax", "ArgMin", jumps=True, since=12)
def best(g, v, name):
    # Of equal values the first counts, or the last.
    rounded, axis = g.node("Round", v.name), g.axis(v.shape)
    made = g.cast(g.node(name, rounded, axis=axis, keepdims=1, select_last_index=int(g.chance())))
    shape = list(v.shape)
    shape[axis] = 1
    return v.then(made, shape)


@step("Softmax", "LogSoftmax")
def softmax(g, v, name):
    # Before opset 13 what is behind the axis is one.
    axis = g.axis(v.shape) if g.opset >= 11 else g.axis(v.shape) % len(v.shape)
    attributes = {"axis": axis} if g.chance() else {}
    return v.then(g.node(name, v.name, **attributes), exact=False)


@step("LpNormalization")
def lp_normalization(g, v):
    return v.then(g.node("LpNormalization", v.name, axis=g.axis(v.shape), p=g.pick(1, 2)), exact=False)


@step("LayerNormalization", since=17)
def layer_normalization(g, v):
    axis = g.axis(v.shape)
    shape = v.shape[axis:] if axis < 0 else v.shape[axis:]
    if np.prod(shape) < 2:
        return None
    inputs = [g.constant(g.floats(*shape))] + ([g.constant(g.floats(*shape))] if g.chance() else [])
    return v.then(g.node("LayerNormalization", v.name, *inputs, axis=axis, epsilon=0.01), exact=False)


@step("BatchNormalization")
def batch_normalization(g, v):
    channels = v.shape[1]
    inputs = [g.floats(channels) for _ in range(3)] + [np.abs(g.floats(channels)) + 0.1]
    attributes = {"epsilon": float(g.random.uniform(1e-5, 0.1))} if g.chance() else {}
    if g.chance():
        attributes["momentum"] = 0.5
    made = g.node("BatchNormalization", v.name, *map(g.constant, inputs), **attributes)
    return v.then(made, exact=False)


@step("GlobalAveragePool", "GlobalMaxPool")
def pool(g, v, name):
    v = g.deep(v, g.pick(3, 4))
    return v.then(g.node(name, v.name), v.shape[:2] + [1] * (len(v.shape) - 2), exact=False)


@step("Conv")
def conv(g, v):
    v = g.deep(v, g.pick(3, 4))
    channels, plane = v.shape[1], v.shape[2:]
    group = g.pick(*[n for n in range(1, channels + 1) if channels % n == 0])
    made = group * int(g.random.integers(1, 3))
    window = [int(g.random.integers(1, length + 1)) for length in plane]
    strides = [int(g.random.integers(1, 3)) for _ in plane]
    dilations = [g.pick(1, 2) if (size - 1) * 2 < length else 1 for size, length in zip(window, plane)]
    pads = [int(g.random.integers(0, 2)) for _ in range(2 * len(plane))]
    shape = [0, made]
    for place, length in enumerate(plane):
        covered = (window[place] - 1) * dilations[place] + 1
        shape.append((length + pads[place] + pads[place + len(plane)] - covered) // strides[place] + 1)
    attributes = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    if g.chance():
        attributes["kernel_shape"] = window
    inputs = [g.constant(g.floats(made, channels // group, *window))] + ([g.constant(g.floats(made))] if g.chance() else [])
    return v.then(g.node("Conv", v.name, *inputs, **attributes), shape, exact=False)


@step("Gemm")
def gemm(g, v):
    v = g.matrix(v)
    width, made = v.shape[1], int(g.random.integers(1, 8))
    turned = g.chance()
    attributes = {"alpha": float(g.random.normal()), "beta": float(g.random.normal())} if g.chance() else {}
    weights = g.constant(g.floats(made, width) if turned else g.floats(width, made))
    bias = [] if g.opset >= 11 and g.chance() else [g.constant(g.floats(*g.pick([made], [1], [1, made], [1, 1], [])))]
    return v.then(g.node("Gemm", v.name, weights, *bias, transB=int(turned), **attributes), [0, made], exact=False)


@step("MatMul")
def matmul(g, v):
    width, made = v.shape[-1], int(g.random.integers(1, 6))
    if len(v.shape) == 3 and g.chance():
        other = g.node("Transpose", v.name, perm=[0, 2, 1])
        return v.then(g.node("MatMul", v.name, other), [0, v.shape[1], v.shape[1]], exact=False)
    if len(v.shape) > 2 and g.chance():
        return v.then(g.node("MatMul", v.name, g.constant(g.floats(width))), v.shape[:-1], exact=False)
    return v.then(g.node("MatMul", v.name, g.constant(g.floats(width, made))), v.shape[:-1] + [made], exact=False)


@step("Reshape")
def reshape(g, v):
    width = int(np.prod(v.shape[1:]))
    first = g.pick(*[n for n in range(1, width + 1) if width % n == 0])
    shape = g.pick([0, first, width // first], [0, width], [0, 1, first, -1])
    made = g.node("Reshape", v.name, g.longs(shape))
    return v.then(made, [width // first if length == -1 else length for length in shape])


@step("Flatten")
def flatten(g, v):
    axis = 1 if g.opset < 11 or g.chance() else 1 - len(v.shape)
    attributes = {"axis": axis} if axis != 1 or g.chance() else {}
    return v.then(g.node("Flatten", v.name, **attributes), [0, int(np.prod(v.shape[1:]))])


@step("Unsqueeze", "Squeeze")
def squeeze(g, v, name):
    if len(v.shape) > 3:
        return None
    place = int(g.random.integers(1, len(v.shape) + 1))
    axis = place if g.opset < 11 or g.chance() else place - len(v.shape) - 1
    made = by_axes(g, "Unsqueeze", v.name, [axis], 13)
    if name == "Squeeze":
        return v.then(by_axes(g, "Squeeze", g.node("Neg", made), [axis], 13))
    return v.then(made, v.shape[:place] + [1] + v.shape[place:])


@step("Transpose")
def transpose(g, v):
    order = [0, *(g.random.permutation(len(v.shape) - 1) + 1).tolist()]
    return v.then(g.node("Transpose", v.name, perm=order), [v.shape[place] for place in order])


@step("Concat")
def concat(g, v):
    axis = g.axis(v.shape) if g.opset >= 11 else g.axis(v.shape) % len(v.shape)
    parts = [v.name, g.node("Neg", v.name), v.name][: g.random.integers(1, 4)]
    shape = list(v.shape)
    shape[axis] *= len(parts)
    return v.then(g.node("Concat", *parts, axis=axis), shape)


@step("Split")
def split(g, v):
    axis = g.axis(v.shape) % len(v.shape)
    length = v.shape[axis]
    if length < 2:
        return None
    first = int(g.random.integers(1, length))
    lengths = [first, length - first]
    if g.opset >= 18 and g.chance():
        lengths = [-(-length // 2), length // 2]
        parts = g.node("Split", v.name, outputs=2, axis=axis, num_outputs=2)
    elif g.opset < 18 and length % 2 == 0 and g.chance():
        lengths = [length // 2] * 2
        parts = g.node("Split", v.name, outputs=2, axis=axis)
    elif g.opset < 13:
        parts = g.node("Split", v.name, outputs=2, axis=axis, split=lengths)
    else:
        parts = g.node("Split", v.name, g.longs(lengths), outputs=2, axis=axis)
    shape, place = list(v.shape), int(g.random.integers(2))
    if g.chance():
        return v.then(g.node("Concat", parts[1], parts[0], axis=axis))
    shape[axis] = lengths[place]
    return v.then(parts[place], shape)


@step("Slice")
def sliced(g, v):
    axis = g.axis(v.shape) % len(v.shape)
    length = v.shape[axis]
    bounds = [-100, *range(-length - 1, length + 2), 100]
    step_by = g.pick(1, 1, 2, -1, -2, 3) if g.opset >= 10 else 1
    start, end = g.pick(*bounds), g.pick(*bounds, -(2**63) if step_by < 0 else 2**63 - 1)
    # As ONNX has it: a start before the first value is the first, also backwards.
    absolute = [value + length if value < 0 else value for value in (start, end)]
    if step_by > 0:
        taken = len(range(min(max(absolute[0], 0), length), min(max(absolute[1], 0), length), step_by))
    else:
        taken = len(range(min(max(absolute[0], 0), length - 1), min(max(absolute[1], -1), length - 1), step_by))
    if taken == 0:
        return None
    shape = list(v.shape)
    shape[axis] = taken
    if g.opset < 10:
        return v.then(g.node("Slice", v.name, axes=[axis], starts=[start], ends=[end]), shape)
    steps = [g.longs([step_by])] if step_by != 1 or g.chance() else []
    axes = g.longs([axis if g.chance() else axis - len(v.shape)])
    return v.then(g.node("Slice", v.name, g.longs([start]), g.longs([end]), axes, *steps), shape)


@step("Gather")
def gather(g, v):
    axis, count = g.axis(v.shape) % len(v.shape), g.pick([], [1], [2], [1, 2])
    if len(v.shape) == 2 and not count:
        count = [3]
    low = -v.shape[axis] if g.opset >= 11 else 0
    places = g.random.integers(low, v.shape[axis], size=count)
    shape = v.shape[:axis] + list(count) + v.shape[axis + 1:]
    return v.then(g.node("Gather", v.name, g.longs(places), axis=axis), shape)


@step("GatherElements", jumps=True, since=12)
def gather_elements(g, v):
    axis = g.axis(v.shape)
    shape = list(v.shape)
    shape[axis] = 1
    places = g.node("ArgMax", g.node("Round", v.name), axis=axis)
    return v.then(g.node("GatherElements", v.name, places, axis=axis), shape)


@step("Expand", "Tile")
def larger(g, v, name):
    if np.prod(v.shape) > 40 or len(v.shape) > 3 or (name == "Expand" and g.opset < 8):
        return None
    if name == "Tile":
        repeats = [1, *(int(g.random.integers(1, 3)) for _ in v.shape[1:])]
        shape = [length * times for length, times in zip(v.shape, repeats)]
        return v.then(g.node("Tile", v.name, g.longs(repeats)), shape)
    stretched = g.unsqueeze(v.name, [1])
    return v.then(g.node("Expand", stretched, g.longs([1, 2, *[1] * (len(v.shape) - 1)])), [0, 2, *v.shape[1:]])


@step("Pad")
def pad(g, v):
    if np.prod(v.shape[1:]) > 40:
        return None
    ends = [[0, 0]] + [g.random.integers(0, 3, size=2).tolist() for _ in v.shape[1:]]
    pads, value = [end[0] for end in ends] + [end[1] for end in ends], g.floats()
    shape = [length + sum(end) for length, end in zip(v.shape, ends)]
    if g.opset < 11:
        return v.then(g.node("Pad", v.name, pads=pads, value=float(value)), shape)
    return v.then(g.node("Pad", v.name, g.longs(pads), *([g.constant(value)] if g.chance() else [])), shape)


@step("Shape", "ConstantOfShape", since=9)
def shape_of(g, v, name):
    attributes = {}
    if g.opset >= 15 and name == "Shape" and g.chance():
        start = int(g.random.integers(1, len(v.shape)))
        attributes = {"start": start if g.chance() else start - len(v.shape)}
        if start + 1 < len(v.shape) and g.chance():
            attributes["end"] = start + 1
    lengths = g.node("Shape", v.name, **attributes)
    if "end" in attributes:
        return v.then(g.node("Add", v.name, g.cast(lengths)))
    value = {"value": helper.make_tensor("value", FLOAT, [1], g.floats(1))} if g.chance() else {}
    return v.then(g.node("Add", v.name, g.node("ConstantOfShape", lengths, **value)))


@step("Size")
def size(g, v):
    count = g.cast(g.node("Size", g.constant(g.floats(2, 3))))
    return v.then(g.node("Sub", v.name, count))


@step("Range", since=11)
def counted(g, v):
    by = g.pick(-2, -1, 1, 3)
    ends = [np.int64(4), np.int64(4 + by * v.shape[-1]), np.int64(by)]
    return v.then(g.node("Add", v.name, g.cast(g.node("Range", *map(g.constant, ends)))))


@step("Constant")
def constant(g, v):
    values = g.floats(v.shape[-1])
    attributes = {"value": numpy_helper.from_array(values)}
    if g.opset >= 12:
        attributes = g.pick(attributes, {"value_float": float(values[0])}, {"value_floats": values.tolist()},
                            {"value_int": 3}, {"value_ints": list(range(v.shape[-1]))})
    made = g.node("Constant", **attributes)
    if "value_int" in attributes or "value_ints" in attributes:
        made = g.cast(made)
    return v.then(g.node("Add", v.name, made))


@step("Dropout")
def dropout(g, v):
    if g.opset < 12:
        return v.then(g.node("Dropout", v.name, **({"ratio": 0.3} if g.chance() else {})))
    ratio, training = g.constant(np.float32(g.pick(0, 0.4))), []
    if g.chance():
        training, ratio = g.pick(([g.constant(np.bool_(False))], ratio),
                                 ([g.constant(np.bool_(True))], g.constant(np.float32(0))))
    kept, mask = g.node("Dropout", v.name, ratio, *training, outputs=2)
    return v.then(g.node("Mul", kept, g.cast(mask)) if g.chance() else kept)


@step("LSTM", "GRU", "RNN")
def recurrent(g, v, name):
    v = g.deep(v, 3)
    gates, hidden, width = {"LSTM": 4, "GRU": 3, "RNN": 1}[name], int(g.random.integers(1, 4)), v.shape[2]
    direction = g.pick("forward", "reverse", "bidirectional")
    both = 2 if direction == "bidirectional" else 1
    attributes = {"hidden_size": hidden, "direction": direction}
    if name == "GRU":
        attributes["linear_before_reset"] = int(g.chance())
    if name == "RNN" and g.chance():
        attributes["activations"] = [g.pick("Relu", "Tanh")] * both
    weights = [g.floats(both, gates * hidden, width), g.floats(both, gates * hidden, hidden) / 2]
    weights += [g.floats(both, 2 * gates * hidden)] if g.chance() else []
    sequence = g.node("Transpose", v.name, perm=[1, 0, 2])
    outputs = g.node(name, sequence, *map(g.constant, weights), outputs=3 if name == "LSTM" else 2, **attributes)
    if g.chance():
        return v.then(g.node("Transpose", outputs[0], perm=[2, 0, 1, 3]), [0, v.shape[1], both, hidden], exact=False)
    return v.then(g.node("Transpose", outputs[-1], perm=[1, 0, 2]), [0, both, hidden], exact=False)


@step("ArrayFeatureExtractor")
def features(g, v):
    v = g.matrix(v)
    places = g.random.integers(0, v.shape[1], size=g.pick([1], [2], [1, 3]))
    made = g.node("ArrayFeatureExtractor", v.name, g.longs(places), domain=ML)
    return v.then(made, [0, places.size])


@step("Scaler", "Imputer", "Normalizer")
def columns(g, v, name):
    v = g.matrix(v)
    width = v.shape[1]
    some = lambda: g.floats(g.pick(1, width)).tolist()
    if name == "Scaler":
        count = g.pick(1, width)
        attributes = {"offset": g.floats(count).tolist(), "scale": g.floats(count).tolist()}
    elif name == "Imputer":
        if not v.exact:
            return None
        v = v.then(g.node("Round", v.name)) if g.opset >= 11 else v
        attributes = {"replaced_value_float": float(g.pick(0, 1)), "imputed_value_floats": some()}
    else:
        attributes = {"norm": g.pick("L1", "L2")}
    return v.then(g.node(name, v.name, domain=ML, **attributes), exact=False)


@step("LabelEncoder", jumps=True)
def label_encoder(g, v):
    keys, to_floats = g.random.integers(-3, 4, size=4).tolist(), g.chance()
    codes = g.cast(v.name, INT64)
    if to_floats:
        attributes = {"values_floats": g.floats(4).tolist(), "default_float": 0.5}
    else:
        attributes = {"values_int64s": g.random.integers(9, size=4).tolist()}
    made = g.node("LabelEncoder", codes, domain=ML, keys_int64s=keys, **attributes)
    return v.then(made if to_floats else g.cast(made))


@step("LinearRegressor", "LinearClassifier")
def linear(g, v, name):
    v = g.matrix(v)
    count = int(g.random.integers(1, 4))
    coefficients, intercepts = g.floats(count * v.shape[1]).tolist(), g.floats(count).tolist()
    if name == "LinearRegressor":
        attributes = {"targets": count} | ({"intercepts": intercepts} if g.chance() else {})
        return v.then(g.node(name, v.name, domain=ML, coefficients=coefficients, **attributes), [0, count], exact=False)
    labels = max(count, 2)
    attributes = {"post_transform": g.pick("NONE", "LOGISTIC", *["SOFTMAX"] * (count > 1)), "multi_class": 1}
    if g.chance():
        attributes["classlabels_strings"] = [str(label) for label in range(labels)]
    else:
        attributes["classlabels_ints"] = list(range(labels))
    made = g.node(name, v.name, domain=ML, outputs=2, coefficients=coefficients, intercepts=intercepts, **attributes)
    return v.then(made[1], [0, labels], exact=False)


@step("SVMRegressor")
def support_vectors(g, v):
    v = g.matrix(v)
    count, kind = int(g.random.integers(1, 5)), g.pick("LINEAR", "POLY", "RBF", "SIGMOID")
    one_class = v.exact and g.random.integers(4) == 0
    attributes = {"n_supports": count, "coefficients": g.floats(count).tolist(), "rho": g.floats(1).tolist(),
                  "support_vectors": g.floats(count * v.shape[1]).tolist(), "kernel_type": kind,
                  "kernel_params": [0.3, 0.5, 2.0], "one_class": int(one_class)}
    return v.then(g.node("SVMRegressor", v.name, domain=ML, **attributes), [0, 1], exact=False)


def trees(g, width, prefix, targets):
    """Attributes of an ensemble: each tree grows at random, with all its nodes."""
    lists = {name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                                   "missing_value_tracks_true")}
    leaves = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    one_mode = g.chance()
    for tree in range(int(g.random.integers(1, 4))):
        children = [None]
        while len(children) < 9:
            grown = [place for place, child in enumerate(children) if child is None]
            place = grown[int(g.random.integers(len(grown)))]
            children[place] = len(children)
            children += [None, None]
        for place, child in enumerate(children):
            mode = "LEAF" if child is None else "BRANCH_LEQ" if one_mode else g.pick(
                "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
            row = (tree, place, int(g.random.integers(width)), float(g.floats()), mode, child or 0,
                   child + 1 if child else 0, int(g.chance()))
            for values, value in zip(lists.values(), row):
                values.append(value)
            if child is None:
                for target in targets:
                    for values, value in zip(leaves.values(), (tree, place, target, float(g.floats()))):
                        values.append(value)
    return ({f"nodes_{name}": values for name, values in lists.items()}
            | {f"{prefix}_{name}": values for name, values in leaves.items()})


@step("TreeEnsembleRegressor", "TreeEnsembleClassifier", jumps=True)
def ensemble(g, v, name):
    v = g.matrix(v)
    if name == "TreeEnsembleRegressor":
        count = int(g.random.integers(1, 4))
        attributes = trees(g, v.shape[1], "target", range(count))
        attributes |= {"n_targets": count, "aggregate_function": g.pick("SUM", "AVERAGE", "MIN", "MAX")}
        attributes |= {"base_values": g.floats(count).tolist()} if g.chance() else {}
        return v.then(g.node(name, v.name, domain=ML, **attributes), [0, count], exact=False)
    count = int(g.random.integers(2, 5))
    is_one = count == 2 and g.chance()
    attributes = trees(g, v.shape[1], "class", [0] if is_one else range(count))
    if g.chance():
        attributes["class_weights"] = [abs(weight) for weight in attributes["class_weights"]]
    if (is_one or count > 2) and g.chance():
        attributes["base_values"] = g.floats(1 if is_one else count).tolist()
    attributes["post_transform"] = g.pick("NONE", "LOGISTIC", *["SOFTMAX"] * (not is_one))
    attributes["classlabels_int64s"] = list(range(count))
    made = g.node(name, v.name, domain=ML, outputs=2, **attributes)
    return v.then(made[1], [0, count], exact=False)


# ONNX does not say what they make of what is no number, and onnxruntime makes several things of it.
UNSTATED = ["GlobalMaxPool", "GRU", "LSTM", "ReduceMax", "ReduceMin", "RNN"]


def apply(g, v, operator):
    """One step of the operator, if there is one for this opset and these numbers."""
    if not v.numbers and operator in UNSTATED:
        return None
    steps = [function for function, jumps, since, until in STEPS[operator]
             if since <= g.opset <= until and (v.exact or not jumps)]
    if not steps:
        return None
    function = g.pick(*steps)
    takes_name = function.__code__.co_argcount - len(function.__defaults__ or ()) == 3
    return function(g, v, operator) if takes_name else function(g, v)


def model(seed, number):
    """A model, its operators and its input's type."""
    random = np.random.default_rng([seed, number])
    operators = sorted(STEPS)
    while True:
        g = Graph(random, int(random.choice(OPSETS)))
        kind = random.choice([FLOAT, INT64, INT32, DOUBLE, HALF], p=[0.7, 0.1, 0.05, 0.1, 0.05])
        v = Value("X" if kind == FLOAT else g.cast("X"), [0, WIDTH], True)
        v = v if g.chance() else g.deep(v, g.pick(3, 4))
        # Every operator in its turn, then some more.
        wanted = [operators[number % len(operators)]]
        wanted += [operators[random.integers(len(operators))] for _ in range(random.integers(3))]
        for place, operator in enumerate(wanted):
            made = apply(g, v if v.exact and place == 0 else v.then(g.clip(v.name, -4, 4)), operator)
            if made is None and place == 0:
                break
            v = made or v
        else:
            return g, v, kind, wanted


NUMPY = {FLOAT: np.float32, INT64: np.int64, INT32: np.int32, DOUBLE: np.float64, HALF: np.float16}
given = json.load(sys.stdin)
cases = []
options = onnxruntime.SessionOptions()
# The operators as they are, not what they can be merged into.
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
options.intra_op_num_threads = 1
options.log_severity_level = 4
for number in range(given["first"], given["first"] + given["count"]):
    g, v, kind, operators = model(given["seed"], number)
    rows = np.random.default_rng([given["seed"], number, 1]).normal(size=(ROWS, WIDTH)).astype(np.float32) * 2
    rows = np.round(rows) if kind in (INT64, INT32) or g.chance() else rows
    graph = helper.make_graph(
        g.nodes + [helper.make_node("Identity", [v.name], ["Y"])], "random",
        [helper.make_tensor_value_info("X", kind, [None, WIDTH])],
        [helper.make_tensor_value_info("Y", FLOAT, None)], g.constants)
    imports = [helper.make_opsetid("", g.opset), helper.make_opsetid(ML, 3)]
    bytes = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    name = f"{number}: opset {g.opset}, {' '.join(operators)}"
    try:
        session = onnxruntime.InferenceSession(bytes, options, providers=["CPUExecutionProvider"])
        result = session.run(None, {"X": rows.astype(NUMPY[kind])})[0]
    except Exception as error:
        raise SystemExit(f"seed {given['seed']}, model {name}: {error}")
    cases.append({"name": name, "model": bytes.hex(), "output": None, "rows": rows.tobytes().hex(), "width": WIDTH,
                  "expected": result.astype("<f4").tobytes().hex()})
json.dump({"operators": sorted(STEPS), "cases": cases}, sys.stdout)
