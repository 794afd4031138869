"""Dialogue model: vocabulary, chat formats, checkpoints and the generation engine."""
