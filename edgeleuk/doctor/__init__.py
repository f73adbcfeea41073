"""Whether this machine can do its work: each thing looked at, and for what is wrong the command that mends it."""
