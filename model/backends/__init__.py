"""Backends: what runs a checkpoint."""
