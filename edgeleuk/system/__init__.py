"""User paths, files, TOML, machine settings: what the operating system is asked for."""
