"""The bot: from an incoming message to an answer, and all it keeps on the way."""
