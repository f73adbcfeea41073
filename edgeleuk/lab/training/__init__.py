"""Training, quantization and publishing of the models.

The only package that imports torch; the runtime works without it.
"""
