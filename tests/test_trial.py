"""A model is put to work before it is trusted, where it can do no harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import packed
import pytest
from standard import REFERENCE, RULES
from typer.testing import CliRunner

from edgeleuk.cli import app
from edgeleuk.doctor import first_use, trial
from edgeleuk.errors import ModelError
from edgeleuk.models import registry

onnx = pytest.importorskip("onnx", reason="the extra `dev` is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 5000
PICTURE = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
VALUES = helper.make_tensor_value_info("values", TensorProto.FLOAT, None)


def network(
    nodes: list[object], constants: dict[str, object], inputs: tuple[object, ...] = (PICTURE,)
) -> bytes:
    """A network that gives `values`."""
    arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "hostile", list(inputs), [VALUES], arrays)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def bomb() -> bytes:
    """A few hundred bytes that ask for 40 GB."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceMax", ["huge"], ["largest"], keepdims=0),
        helper.make_node("Add", ["image", "largest"], ["values"]),
    ]
    return network(nodes, {"shape": np.array([100_000, 100_000])})


def endless() -> bytes:
    """A loop of 2^63 - 1 rounds."""
    step = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["go"]),
            helper.make_node("Add", ["sum", "sum"], ["next"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    nodes = [helper.make_node("Loop", ["rounds", "yes", "image"], ["values"], body=step)]
    return network(nodes, {"rounds": np.array(2**63 - 1), "yes": np.array(True)})


def slow() -> bytes:
    """A chain of products that takes hours, without a loop."""
    side, rounds = 4096, 10_000
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceMax", ["image"], ["largest"], keepdims=0),
        helper.make_node("Add", ["zeros", "largest"], ["p0"]),
        *(helper.make_node("MatMul", [f"p{i}", f"p{i}"], [f"p{i + 1}"]) for i in range(rounds)),
        helper.make_node("Identity", [f"p{rounds}"], ["values"]),
    ]
    return network(nodes, {"shape": np.array([side, side])})


def elsewhere() -> bytes:
    """Weights in another file."""
    model = onnx.load_model_from_string(
        network([helper.make_node("Add", ["image", "w"], ["values"])], {"w": np.float32(1)})
    )
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    place = weights.external_data.add()
    place.key, place.value = "location", "../../../../etc/passwd"
    return model.SerializeToString()


def two_inputs() -> bytes:
    other = helper.make_tensor_value_info("other", TensorProto.FLOAT, [1])
    return network([helper.make_node("Add", ["image", "other"], ["values"])], {}, (PICTURE, other))


def plain(operation: str) -> Callable[[], bytes]:
    return lambda: network([helper.make_node(operation, ["image"], ["values"])], {})


def altered(model: registry.Model, place: Path, **networks: bytes) -> registry.Model:
    """The model that ships with other networks in it, named by their hashes."""
    document = json.loads((model.folder / "model.json").read_text())
    place.mkdir()
    for name in ("finder", "reader"):
        content = networks.get(name, getattr(model, name).path.read_bytes())
        (place / f"{name}.onnx").write_bytes(content)
        document[name]["sha256"] = packed.sha256(content)
    for name in ("head", "guard", "known"):
        shutil.copy(model.folder / document["reader"][name]["file"], place)
    (place / "model.json").write_text(json.dumps(document))
    return registry.read_manifest(place)


def test_the_model_that_ships_works(
    model: registry.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process of its own, with its limits; another package of this name, as a stick may hold one, is not run."""
    (tmp_path / "edgeleuk").mkdir()
    (tmp_path / "edgeleuk" / "__init__.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    trial.tried(model)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a program": lambda: ELF,
    "nothing": lambda: b"",
    "a text": lambda: b"network",
    "weights elsewhere": elsewhere,
    "a loop": endless,
    "two inputs": two_inputs,
    "a network that gives the picture back": plain("Identity"),
    "a network that gives the picture's shape": plain("Shape"),
    "a network that gives one number": plain("ReduceMax"),
    "a network of a list": plain("SequenceConstruct"),
}


PARTS = [("finder", name) for name in HOSTILE] + [
    ("reader", name) for name in ("a program", "a network that gives one number", "a network of a list")
]
"""The reader is opened after the finder has done its work, which takes time."""


@pytest.mark.parametrize(("part", "name"), PARTS)
def test_what_is_no_finder_or_no_reader_does_not_pass(
    model: registry.Model, tmp_path: Path, part: str, name: str
) -> None:
    """A well-formed network of another kind no more than a file of another kind."""
    hostile = altered(model, tmp_path / "model", **{part: HOSTILE[name]()})
    with pytest.raises((ModelError, ValueError, TypeError)):  # `tried` makes one error of whatever it is
        trial.work(hostile, RULES, REFERENCE)


def test_finder_and_reader_exchanged_do_not_pass(model: registry.Model, tmp_path: Path) -> None:
    """Each is a network with one picture as its input, and not the other."""
    finder, reader = (part.path.read_bytes() for part in (model.finder, model.reader))
    with pytest.raises(ModelError):
        trial.work(altered(model, tmp_path / "model", finder=reader, reader=finder), RULES, REFERENCE)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda: ELF, "onnxruntime cannot open finder.onnx"), (bomb, "bad.alloc|memory|allocate")],
)  # fmt: skip
def test_a_model_that_fails_is_told_in_one_line(
    model: registry.Model, tmp_path: Path, make: Callable[[], bytes], reason: str
) -> None:
    """With the reason; what asks for more memory than a model needs is refused before there is none left."""
    with pytest.raises(ModelError, match=rf"^the 100x model .* does not work: .*({reason})[^\n]*\.$"):
        trial.tried(altered(model, tmp_path / "model", finder=make()))


def test_a_model_that_never_ends_is_ended(
    model: registry.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a time that any good one ends within; what it computed in it tells a slow computer from a busy one."""
    monkeypatch.setattr(trial, "PATIENCE_S", 8.0)
    with pytest.raises(trial.UnfinishedError, match="was not through with the sample after 8 s") as caught:
        trial.tried(altered(model, tmp_path / "model", finder=slow()))
    assert caught.value.seconds == 8.0
    assert 0.5 < caught.value.processor_seconds < 9.0
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("processor_s", "busy"), [(1.0, True), (89.0, True), (90.0, False), (180.0, False)])
def test_half_of_the_time_without_the_processor_is_a_busy_computer(
    model: registry.Model, processor_s: float, busy: bool
) -> None:
    """Otherwise it is a slow one."""
    assert trial.UnfinishedError(model, 180.0, processor_s).busy is busy


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The models that were put to work; nothing is remembered from before."""
    monkeypatch.setenv("EDGELEUK_MODEL_STORE", str(tmp_path / "models"))
    found: list[str] = []

    def tried(model: registry.Model) -> None:
        found.append(model.version)
        trial.tried(model)

    monkeypatch.setattr(first_use, "tried", tried)
    return found


def test_a_model_from_elsewhere_is_tried_once(model: registry.Model, tmp_path: Path, met: list[str]) -> None:
    """And again when a byte of it changes; the one that came with the program never is."""
    first_use.require_tried(model)
    shutil.copytree(model.folder, tmp_path / "copy")
    first_use.require_tried(registry.load_folder(tmp_path / "copy"))
    assert met == []
    other = altered(model, tmp_path / "other")
    said: list[str] = []
    for _ in range(2):
        first_use.require_tried(other, said.append)
    assert met == [other.version]
    assert len(said) == 1
    document = json.loads((other.folder / "model.json").read_text())
    (other.folder / "model.json").write_text(json.dumps(document | {"version": "2"}))
    first_use.require_tried(registry.load_folder(other.folder))
    assert met == [other.version, "2"]


@pytest.mark.parametrize(
    "name", ["a program", "weights elsewhere", "a loop", "a network that gives one number"]
)
def test_a_model_that_does_not_work_is_tried_each_time(
    model: registry.Model, tmp_path: Path, met: list[str], name: str
) -> None:
    """It is not remembered, and the command that was to use it ends with exit code 4 and one sentence."""
    hostile = altered(model, tmp_path / "model", finder=HOSTILE[name]())
    for _ in range(2):
        done = CliRunner().invoke(app, ["analyze", "--demo", "--no-keep", "--model", str(hostile.folder)])
        assert isinstance(done.exception, ModelError)
        assert len(str(done.exception).splitlines()) == 1
    assert len(met) == 2


def test_a_network_that_gives_no_numbers_is_refused(model: registry.Model, tmp_path: Path) -> None:
    """NaN is no count of nothing."""
    content = onnx.load_model_from_string(model.finder.path.read_bytes())
    name = content.graph.output[0].name
    for node in content.graph.node:
        for place, output in enumerate(node.output):
            if output == name:
                node.output[place] = "before"
    content.graph.initializer.append(numpy_helper.from_array(np.float32(np.nan), "nan"))
    content.graph.node.append(helper.make_node("Add", ["before", "nan"], [name]))
    with pytest.raises(ModelError, match="gives what is no number"):
        trial.work(altered(model, tmp_path / "model", finder=content.SerializeToString()), RULES, REFERENCE)
