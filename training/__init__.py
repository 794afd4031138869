"""From dialogues to a checkpoint, and from a checkpoint to its figures."""
