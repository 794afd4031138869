"""Attempts to bring the whole bot off its way. inputs.jsonl was written for this project, line by line (CC0-1.0)."""
