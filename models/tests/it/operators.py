"""Small graphs, one or more for each operator, with what onnxruntime computes for them."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, parser
from sklearn.ensemble import (
    GradientBoostingClassifier, GradientBoostingRegressor, IsolationForest, RandomForestClassifier, RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, PowerTransformer, RobustScaler, StandardScaler
from sklearn.svm import OneClassSVM
from skl2onnx import to_onnx

random = np.random.default_rng(1)
ROWS, WIDTH = 9, 6
rows = random.normal(size=(ROWS, WIDTH)).astype(np.float32) * 2
cases = []


def add(name, model, output=None):
    """Runs a model on the rows; its output is made of one number per value."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result = session.run([output or session.get_outputs()[0].name], {session.get_inputs()[0].name: rows})[0]
    assert result.dtype == np.float32, (name, result.dtype)
    cases.append({
        "name": name, "model": model.SerializeToString().hex(), "output": output,
        "rows": rows.tobytes().hex(), "width": WIDTH, "expected": result.tobytes().hex(),
    })


def graph(body, opset=17, **weights):
    """A graph from X to Y, in ONNX's own notation; arrays are its constants."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}, "ai.onnx.ml" : 3]> g (float[N,{WIDTH}] X) => (float[N,M] Y) {{ {body} }}'
    model = parser.parse_model(text)
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    # The rank of the output is not stated, so that a graph may have any.
    model.graph.output[0].type.tensor_type.ClearField("shape")
    add(body, model)


def floats(*shape):
    return random.normal(size=shape).astype(np.float32)


for operator in ["Relu", "Abs", "Neg", "Sign", "Sigmoid", "Tanh", "Exp", "Erf", "Reciprocal", "Floor", "Ceil", "Round",
                 "Softplus", "Softsign", "HardSwish", "LeakyRelu", "Elu", "Celu", "Selu", "ThresholdedRelu",
                 "HardSigmoid", "Sin", "Cos", "Softmax", "LogSoftmax", "LpNormalization", "Identity", "Mish"]:
    graph(f"Y = {operator}(X)", opset=18)
graph("Y = Gelu(X)", opset=20)
graph('Y = Gelu<approximate="tanh">(X)', opset=20)
graph("A = Abs(X) Y = Sqrt(A)")
graph("A = Abs(X) Y = Log(A)")
graph("Y = LeakyRelu<alpha=0.3>(X)")
graph("Y = Elu<alpha=0.7>(X)")
graph("Y = Celu<alpha=2.0>(X)")
graph("Y = Softmax<axis=1>(X)", opset=11)
graph("A = Reshape(X, S) Y = Softmax<axis=1>(A)", S=np.array([-1, 2, 3]))
graph("A = Reshape(X, S) Y = Softmax<axis=1>(A)", opset=11, S=np.array([-1, 2, 3]))
for operator in ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum", "PRelu"]:
    graph(f"Y = {operator}(X, B)", B=floats(WIDTH))
graph("Y = Sub(B, X)", B=floats(1))
graph("Y = Add(X, B)", B=floats(1, 1))
graph("A = Unsqueeze(X, D) Y = Mul(A, B)", D=np.array([2]), B=floats(1, 1, 4))
graph("Y = Pow(X, B)", B=np.float32(2))
graph("A = Abs(X) Y = Pow(A, B)", B=floats(WIDTH))
graph("Y = Mod<fmod=1>(X, B)", B=np.float32(0.7))
for operator in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]:
    graph(f"A = {operator}(X, B) Y = Cast<to=1>(A)", B=rows[:1])
graph("A = Less(X, B) C = Not(A) D = And(A, C) E = Or(A, D) F = Xor(E, C) Y = Cast<to=1>(F)", B=np.float32(0.1))
graph("A = Greater(X, B) Y = Where(A, X, B)", B=np.float32(0.5))
graph("A = Log(X) B = IsNaN(A) Y = Cast<to=1>(B)")
graph("A = Cast<to=7>(X) B = Add(A, C) D = Div(B, C) E = Mod(D, C) Y = Cast<to=1>(E)", C=np.int64([3]))
graph("Y = Clip(X, A, B)", A=np.float32(-0.5), B=np.float32(1.5))
graph("Y = Clip<min=-0.5, max=0.25>(X)", opset=10)
for operator in ["ReduceSum"]:
    graph(f"Y = {operator}(X, A)", A=np.array([1]))
    graph(f"Y = {operator}<keepdims=0>(X, A)", A=np.array([-1]))
for operator in ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
                 "ReduceLogSumExp"]:
    graph(f"Y = {operator}<axes=[1]>(X)")
    graph(f"A = Reshape(X, S) Y = {operator}<axes=[1], keepdims=0>(A)", S=np.array([-1, 3, 2]))
graph("Y = ReduceMean(X, A)", opset=18, A=np.array([1]))
graph("A = Exp(X) Y = ReduceLogSum<axes=[1]>(A)")
graph("A = ArgMax<axis=1>(X) Y = Cast<to=1>(A)")
graph("A = ArgMin<axis=1, keepdims=0>(X) Y = Cast<to=1>(A)")
graph("A = Round(X) B = ArgMax<axis=1, select_last_index=1>(A) Y = Cast<to=1>(B)")
graph("A = Transpose(X) B = Relu(A) Y = Transpose(B)")
graph("A = Reshape(X, S) B = Transpose<perm=[0, 2, 1]>(A) Y = Flatten(B)", S=np.array([0, 2, -1]))
graph("A = Unsqueeze(X, D) B = Concat<axis=1>(A, A) C = Squeeze(A, D) E = Flatten(B) Y = Concat<axis=1>(C, E)", D=np.array([1]))
graph("A, B, C = Split<axis=1>(X, S) Y = Concat<axis=-1>(C, A, B)", S=np.array([1, 2, 3]))
graph("A, B = Split<axis=1>(X) Y = Sub(A, B)")
graph("Y = Slice(X, A, B, C, D)", A=np.array([-1]), B=np.array([-100]), C=np.array([1]), D=np.array([-2]))
graph("Y = Slice(X, A, B, C)", A=np.array([1]), B=np.array([4]), C=np.array([1]))
graph("Y = Slice<axes=[1], starts=[2], ends=[1000]>(X)", opset=9)
graph("Y = Gather<axis=1>(X, A)", A=np.array([[5, 0], [-1, 2]]))
graph("A = ArgMax<axis=1>(X) Y = GatherElements<axis=1>(X, A)")
graph("A = Shape(X) B = Expand(C, A) Y = Add(B, X)", C=floats(1, WIDTH))
graph("Y = Tile(X, A)", A=np.array([1, 3]))
graph("Y = Pad(X, A, B)", A=np.array([0, 1, 0, 2]), B=np.float32(7))
graph("A = Shape(X) B = ConstantOfShape<value = float[1] {2.5}>(A) Y = Mul(X, B)")
graph("A = Range(S, T, U) B = Cast<to=1>(A) Y = Add(X, B)", S=np.int64(0), T=np.int64(6), U=np.int64(1))
graph("C = Constant<value = float[6] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}>() Y = Mul(X, C)")
graph("D = Div(X, C) E = IsInf(D) Y = Cast<to=1>(E)", C=np.float32([0, 1, 2, 0, 1, 2]))
graph("A = Greater(X, B) C = CastLike(A, X) Y = Add(C, X)", B=np.float32(0))
graph("A = Size(C) B = Cast<to=1>(A) Y = Mul(X, B)", C=floats(2, 3))
graph("Y = Dropout(X)")
graph("Y = MatMul(X, W)", W=floats(WIDTH, 4))
graph("Y = MatMul(X, W)", W=floats(WIDTH))
graph("A = Reshape(X, S) Y = MatMul(A, W)", S=np.array([-1, 2, 3]), W=floats(3, 5))
graph("A = Reshape(X, S) B = Transpose<perm=[0, 2, 1]>(A) Y = MatMul(A, B)", S=np.array([-1, 2, 3]))
graph("Y = Gemm(X, W, B)", W=floats(WIDTH, 4), B=floats(4))
graph("Y = Gemm<alpha=0.5, beta=2.0, transB=1>(X, W, B)", W=floats(4, WIDTH), B=floats(1))
graph("A = Transpose(X) Y = Gemm<transA=1>(A, W)", W=floats(WIDTH, 3))
graph("A = Reshape(X, S) Y = Conv<pads=[1, 1], strides=[2]>(A, W, B)", S=np.array([-1, 2, 3]), W=floats(4, 2, 3), B=floats(4))
graph("A = Reshape(X, S) Y = Conv<group=2, dilations=[2]>(A, W)", S=np.array([-1, 2, 3]), W=floats(2, 1, 2))
graph("A = Reshape(X, S) Y = Conv<pads=[1, 0, 0, 1]>(A, W)", S=np.array([-1, 1, 2, 3]), W=floats(3, 1, 2, 2))
graph("A = Reshape(X, S) Y = GlobalAveragePool(A)", S=np.array([-1, 2, 3]))
graph("A = Reshape(X, S) Y = GlobalMaxPool(A)", S=np.array([-1, 2, 3]))
graph("Y = BatchNormalization(X, A, B, C, D)", A=floats(WIDTH), B=floats(WIDTH), C=floats(WIDTH), D=np.abs(floats(WIDTH)))
graph("A = Reshape(X, S) Y = BatchNormalization<epsilon=0.01>(A, B, B, B, D)", S=np.array([-1, 2, 3]), B=floats(2), D=np.abs(floats(2)))
graph("Y = LayerNormalization(X, A, B)", A=floats(WIDTH), B=floats(WIDTH))

# Sequences of three steps of two numbers, steps first.
sequence = "A = Reshape(X, S) B = Transpose<perm=[1, 0, 2]>(A) "
for operator, gates in [("LSTM", 4), ("GRU", 3), ("RNN", 1)]:
    for direction, both in [("forward", 1), ("reverse", 1), ("bidirectional", 2)]:
        weights = {"W": floats(both, gates * 4, 2), "R": floats(both, gates * 4, 4), "V": floats(both, gates * 8)}
        body = f'C = {operator}<hidden_size=4, direction="{direction}">(B, W, R, V) Y = Transpose<perm=[2, 0, 1, 3]>(C)'
        graph(sequence + body, S=np.array([-1, 3, 2]), **weights)
    body = f"C, D = {operator}<hidden_size=4>(B, W, R) Y = Squeeze(D, E)"
    weights = {"W": floats(1, gates * 4, 2), "R": floats(1, gates * 4, 4)}
    graph(sequence + body, S=np.array([-1, 3, 2]), E=np.array([0]), **weights)
graph(sequence + "F = ReduceMax<axes=[1], keepdims=0>(X) G = Abs(F) H = Clip(G, M, N3) L = Cast<to=6>(H) "
      'C = LSTM<hidden_size=4, direction="bidirectional">(B, W, R, V, L) Y = Transpose<perm=[2, 0, 1, 3]>(C)',
      S=np.array([-1, 3, 2]), M=np.float32(1), N3=np.float32(3),
      W=floats(2, 16, 2), R=floats(2, 16, 4), V=floats(2, 32))
graph(sequence + "C = GRU<hidden_size=4, linear_before_reset=1>(B, W, R, V) Y = Transpose<perm=[2, 0, 1, 3]>(C)",
      S=np.array([-1, 3, 2]), W=floats(1, 12, 2), R=floats(1, 12, 4), V=floats(1, 24))

# Models of scikit-learn, each by the output that gives its score.
train = random.normal(size=(300, WIDTH)).astype(np.float32)
target = train[:, 0] * train[:, 1] + train[:, 2]
versions = {"": 17, "ai.onnx.ml": 3}
for model, output in [
    (IsolationForest(n_estimators=10, random_state=1).fit(train), "scores"),
    (OneClassSVM(nu=0.1).fit(train), "scores"),
    (OneClassSVM(nu=0.1, kernel="poly", degree=2).fit(train), "scores"),
    (GaussianMixture(3, random_state=1).fit(train), "probabilities"),
    (KMeans(3, random_state=1, n_init=1).fit(train), "scores"),
    (PCA(3).fit(train), None),
    (RandomForestRegressor(n_estimators=5, random_state=1).fit(train, target), None),
    (GradientBoostingRegressor(n_estimators=9, random_state=1).fit(train, target), None),
    (make_pipeline(StandardScaler(), MinMaxScaler(), RobustScaler(), Normalizer(), LinearRegression()).fit(train, target), None),
    (make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(5, 2, 5), activation="logistic", max_iter=9, random_state=1)).fit(train, train), None),
    (make_pipeline(PowerTransformer(), MLPRegressor(hidden_layer_sizes=(5,), activation="tanh", max_iter=9, random_state=1)).fit(train, train), None),
]:
    add(str(model).split("(")[0], to_onnx(model, train[:1], target_opset=versions), output)

# Classifiers, without the maps that skl2onnx makes of probabilities.
two, three = (target > 0).astype(int), np.digitize(target, [-1, 1])
for classifier in [LogisticRegression(), RandomForestClassifier(n_estimators=5, random_state=1),
                   GradientBoostingClassifier(n_estimators=5, random_state=1)]:
    for classes in [two, three, np.array(["quiet", "loud"])[two]]:
        model = classifier.fit(train, classes)
        options = {id(model): {"zipmap": False}}
        add(f"{model} of {len(set(classes))}", to_onnx(model, train[:1], target_opset=versions, options=options), "probabilities")

json.dump({"cases": cases}, sys.stdout)
