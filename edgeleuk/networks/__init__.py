"""The finder and the reader. The only importer of onnxruntime."""
