"""User paths, files, TOML tables and machine settings."""
