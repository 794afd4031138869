"""Importers of dialogue formats: one file a source, and the table that names them."""
