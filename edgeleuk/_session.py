"""The one place that imports onnxruntime. The finder and the reader open their networks here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgeleuk import machine
from edgeleuk.errors import ModelError

_FAILURES = (
    onnxruntime.capi.onnxruntime_pybind11_state.Fail,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime.capi.onnxruntime_pybind11_state.NoSuchFile,
    onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,
    onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException,
)


class Session:
    """A network with one float32 input, on the CPU."""

    def __init__(
        self, path: Path, threads: int | None = None, arithmetic: machine.Arithmetic | None = None
    ) -> None:
        """`threads` and `arithmetic` where not given are those that `edgeleuk bench` found best on this machine."""
        setting = machine.setting_here()
        threads, arithmetic = threads or setting.threads, arithmetic or setting.arithmetic
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Fields differ in size from call to call: memory kept for the largest would never be given back.
        options.enable_cpu_mem_arena = False
        # Threads that spin while they wait for the next call take the cores from what runs between the calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # x86 processors without VNNI add pairs of 8-bit products in 16 bits, where they saturate: the 100x finder then
        # has an mAP50 of .92 instead of .96. With this the sums stay exact there. With VNNI they are exact in any case,
        # and the other kernels that it asks for would take 2.7 times as long.
        if not machine.flags() & machine.VNNI:
            options.add_session_config_entry("session.x64quantprecision", "1")
        if threads:
            options.intra_op_num_threads = threads
        if arithmetic == "float":  # the rounding stays, so that a reading does not depend on the machine
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _FAILURES as error:
            raise ModelError(
                f"onnxruntime cannot open {path}: {_first_line(error)}. Update onnxruntime or the model."
            ) from error
        inputs = self._session.get_inputs()
        if [each.type for each in inputs] != ["tensor(float)"]:
            raise ModelError(f"{path} is no network of this program: it has not one input of float numbers.")
        self._input = inputs[0].name

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """All outputs for one input batch."""
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: batch})
        except _FAILURES as error:
            raise ModelError(
                f"the network failed on an input of {batch.shape}: {_first_line(error)}."
            ) from error
        return outputs


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
