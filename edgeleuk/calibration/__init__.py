"""Calibration of a device: scale, light, stain and typical image quality."""
