"""Focus, light, stain, crowding, smear-likeness: accept or refuse with a reason."""
