"""ONNX Runtime sessions for finder and reader.

The only module that imports onnxruntime.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgeleuk.errors import ModelError
from edgeleuk.system import file_io, machine

_FAILURES: tuple[type[Exception], ...] = (
    MemoryError,
    RuntimeError,
    ValueError,
    *(
        each
        for each in vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
        if isinstance(each, type) and issubclass(each, Exception)
    ),
)
"""Exceptions of onnxruntime's C++ part.

Which of them is raised depends on the version.
"""
MOST_BYTES = 256_000_000
"""Maximum size of a network, bytes.

`registry` reads no larger one either.
"""
MOST_LETTERS = 300
"""Maximum characters of a library's error message."""
FORBIDDEN = {
    b"\x0a\x08location\x12": "keeps its weights in another file, which cannot be trusted",
    b"\x22\x04Loop": "has a loop, which may never end",
    b"\x22\x04Scan": "has a loop, which may never end",
}
"""Byte patterns of forbidden network content, with messages.

As protobuf writes them: the name of another file (StringStringEntryProto, field 1), and a node's kind
(NodeProto, field 4), of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. No finder and no reader has
either. Six bytes are found by chance in one of ten million networks.
"""


class Session:
    """CPU session of a network with one float32 input."""

    def __init__(
        self, path: Path, threads: int | None = None, arithmetic: machine.Arithmetic | None = None
    ) -> None:
        """Open a network on the CPU.

        Args:
            path: ONNX file.
            threads: Number of threads; None for the best that `edgeleuk bench` found on this machine.
            arithmetic: "int8" or "float"; None for the best that `edgeleuk bench` found on this machine.

        Raises:
            ModelError: The file is forbidden, cannot be opened, or is no network of this program.
        """
        setting = machine.setting_here()
        threads, arithmetic = threads or setting.threads, arithmetic or setting.arithmetic
        self._path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Fields differ in size from call to call: memory kept for the largest would never be given back.
        options.enable_cpu_mem_arena = False
        # Threads that spin while waiting for the next call take cores from the work between calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # x86 processors without VNNI add pairs of 8-bit products in 16 bits, where they saturate: the 100x finder then
        # has an mAP50 of .92 instead of .96. With this the sums stay exact there. With VNNI they are exact in any case,
        # and the kernels that this option selects would take 2.7 times as long.
        if not machine.flags() & machine.VNNI:
            options.add_session_config_entry("session.x64quantprecision", "1")
        if threads:
            options.intra_op_num_threads = threads
        if arithmetic == "float":  # rounding stays the same: a reading must not depend on the machine
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        _refuse_forbidden(path)
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

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the network's outputs, in order."""
        return tuple(each.name for each in self._session.get_outputs())

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the network on one batch and return all outputs.

        Raises:
            ModelError: It fails, or returns values that are not finite float32.
        """
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: batch})
        except _FAILURES as error:
            raise ModelError(
                f"the network failed on an input of {batch.shape}: {_first_line(error)}."
            ) from error
        for output in outputs:
            if getattr(output, "dtype", None) != np.float32:
                raise ModelError(
                    f"{self._path} gives something else than float numbers. Publish the model again."
                )
            if not np.isfinite(output).all():
                raise ModelError(f"{self._path} gives what is no number. Publish the model again.")
        return outputs


def _refuse_forbidden(path: Path) -> None:
    """Refuse forbidden content before onnxruntime opens the file.

    Raises ModelError.
    """
    try:
        content = file_io.read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise ModelError(f"cannot open {path}: {error.strerror}. Install the model again.") from error
    for mark, what in FORBIDDEN.items():
        if mark in content:
            raise ModelError(f"{path} {what}. Use another model.")


def _first_line(error: Exception) -> str:
    """Return an error's first line, shortened, without full stop.

    Further lines tell where in onnxruntime's source it was.
    """
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:MOST_LETTERS]
