"""How fast the engine is, against others and against what the machine could do. Development only."""
