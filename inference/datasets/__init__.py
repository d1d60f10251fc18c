"""Data sets in the folders they are published in, as one kind of example; importable without torch."""
