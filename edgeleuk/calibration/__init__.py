"""What `edgeleuk calibrate` measures of a device: its scale, its light, its stain, and how its good pictures look."""
