"""Storage: tables, the statements over them, and the cipher of their text columns."""
