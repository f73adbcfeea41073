"""The device profile: light, stain and scale of one microscope with its camera."""
