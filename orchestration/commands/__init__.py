"""The commands, one file per topic."""
