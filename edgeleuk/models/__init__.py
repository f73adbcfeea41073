"""Model folders: manifests, the registry, derived models, updates."""
