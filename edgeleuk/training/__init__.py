"""Training, quantization and publishing of the models. The only importer of torch; the runtime works without it."""
