"""Export to ONNX and static INT8 quantization (QDQ).

The quantization is calibrated through the runtime's own preprocessing.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

OPSET = 17

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


def export(
    network: nn.Module, path: Path, shape: tuple[int, int, int, int], outputs: list[str], free: set[int]
) -> None:
    """Write a network as an FP32 ONNX file.

    Args:
        network: Network to export.
        path: File to write.
        shape: Shape of the input (N, C, H, W).
        outputs: Names of the outputs.
        free: Axes of the input that take any size (0 batch, 2 height, 3 width).
    """
    names = {0: "batch", 2: "height", 3: "width"}
    dynamic = {"image": {axis: names[axis] for axis in free}}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the tracer's exporter is deprecated, and still the one that folds norms best
        torch.onnx.export(
            cast(Any, network.eval()).to(memory_format=torch.contiguous_format),  # torch's stubs lack it
            (torch.zeros(shape),),
            path,
            input_names=["image"],
            output_names=outputs,
            dynamic_axes=dynamic,
            opset_version=OPSET,
            dynamo=False,
        )


class _Inputs(CalibrationDataReader):
    def __init__(self, batches: Iterable[NDArray[np.float32]]) -> None:
        self._batches: Iterator[NDArray[np.float32]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}


def quantize(
    source: Path,
    target: Path,
    batches: Iterable[NDArray[np.float32]],
    method: str,
    keep_float: Iterable[str] = (),
    per_channel: bool = True,
) -> None:
    """Quantize weights and activations to INT8.

    Args:
        source: FP32 ONNX file.
        target: INT8 ONNX file to write.
        batches: Network inputs for the calibration, made by the runtime's `prepare` from training images.
        method: Method that sets the ranges of activations, a key of METHODS.
        keep_float: Nodes whose name starts with one of these stay float.
        per_channel: Whether weights are quantized per output channel; else per tensor.
    """
    prefixes = tuple(keep_float)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        kept = [
            node.name for node in onnx.load(ready).graph.node if prefixes and node.name.startswith(prefixes)
        ]
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)
        try:
            quantize_static(
                str(ready),
                str(target),
                _Inputs(batches),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=per_channel,
                calibrate_method=METHODS[method],
                nodes_to_exclude=kept,
            )
        finally:
            logging.root.setLevel(level)
