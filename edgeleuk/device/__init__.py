"""Device profiles: light, stain and scale of a microscope."""
