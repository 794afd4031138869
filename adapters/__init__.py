"""Platforms: each file knows its SDK and bot.messages, nothing else of the bot."""
