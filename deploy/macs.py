"""Counts multiply-accumulates and memory traffic of the published networks: `python deploy/macs.py [WIDTH HEIGHT]`.

Needs the package `onnx` (extra `train`). A field of WIDTH x HEIGHT pixels (1280 x 720) is resampled to
the finder's scale, cut into tiles and padded as `edgeleuk.networks.finder` does; the shapes of every layer follow by ONNX
shape inference. Three cameras each: the finest that the model was made for, the simulated one, and the coarsest.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path

import onnx

from edgeleuk.models import registry
from edgeleuk.models.manifest import FinderManifest
from edgeleuk.networks.tiling import tiles
from edgeleuk.sources.simulated import OBJECTIVES

WEIGHTS = ("Conv", "Gemm", "MatMul")
"""What multiplies by weights; all else is counted as traffic only."""


@dataclass(frozen=True)
class Load:
    """What one run of a network costs."""

    macs: int
    parameters: int
    activations: int
    """Values written by layers that compute (convolutions, additions, resizes): bytes at 8 bit, times 4 in float."""


def load_of(path: Path, shape: tuple[int, ...]) -> Load:
    """The load of a network whose only input has this shape, NCHW."""
    model = onnx.load(path)
    for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dimension.dim_value = size
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input, *graph.output)
    } | {constant.name: tuple(constant.dims) for constant in graph.initializer}
    macs = parameters = activations = 0
    for node in graph.node:
        if node.op_type in WEIGHTS:
            out, weights = shapes[node.output[0]], shapes[node.input[1]]
            # Each output value of a convolution sums one filter: (channels in / groups) x height x width.
            each = prod(weights[1:]) if node.op_type == "Conv" else weights[-1 if transposed(node) else 0]
            macs += prod(out) * each
            parameters += prod(weights)
        if node.op_type in (*WEIGHTS, "Add", "Resize"):
            activations += prod(shapes[node.output[0]])
    return Load(macs, parameters, activations)


def transposed(node: onnx.NodeProto) -> bool:
    return any(a.name == "transB" and a.i for a in node.attribute)


def finder_shapes(
    um_per_px: float, model: FinderManifest, width: int, height: int
) -> list[tuple[int, int, int, int]]:
    """The finder's inputs for a field of `width` x `height` pixels of `um_per_px`, NCHW: one for each tile."""
    sides = (ceil(side * um_per_px / model.um_per_px) for side in (width, height))
    windows = [tile.window for tile in tiles(*sides)]
    multiple = model.multiple
    return [
        (1, 3, *(ceil((side.stop - side.start) / multiple) * multiple for side in window))
        for window in windows
    ]


def main(width: int, height: int) -> None:
    print(f"field of {width} x {height} px")
    print("objective, um/px | network | runs of the largest input | MMAC | parameters | activations")
    for name in registry.available():
        model = registry.load(name)
        fine, coarse = model.finder.cameras
        for um_per_px in (fine, OBJECTIVES[name].um_per_px, coarse):
            shapes = finder_shapes(um_per_px, model.finder, width, height)
            tell(
                f"{name}, {um_per_px:.3f}", "finder", shapes, [load_of(model.finder.path, s) for s in shapes]
            )
        views = [(1, 3, model.reader.size, model.reader.size)] * model.reader.views
        tell(name, "reader, a cell", views, [load_of(model.reader.path, shape) for shape in views])


def tell(name: str, network: str, shapes: list[tuple[int, ...]], loads: list[Load]) -> None:
    largest = max(shapes, key=prod)
    print(
        f"{name} | {network} | {len(shapes)} of {largest[3]} x {largest[2]} | {sum(x.macs for x in loads) / 1e6:.0f} | "
        f"{loads[0].parameters / 1e3:.0f} k | {sum(x.activations for x in loads) / 1e6:.2f} M"
    )


if __name__ == "__main__":
    main(*(int(side) for side in sys.argv[1:3]) if len(sys.argv) > 2 else (1280, 720))
