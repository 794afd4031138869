"""The history of the schema, run by bot/store/database.py. Revisions are written by hand in versions/."""
