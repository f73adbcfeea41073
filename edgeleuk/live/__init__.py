"""Live counting while the operator moves the stage."""
