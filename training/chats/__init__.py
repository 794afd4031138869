"""People's own chats as they export them: a file a source, the rules of what is learnt from them, and the dialogues.

`detection.read_export` reads a file of any of the formats; `screening` (the only file that needs the bot's safety
rules) and `facts` tell what must not be learnt; `talks` makes dialogues of the rest; the command is
`training/import_chats.py`.
"""
