"""Formats of zones: one room for each, behind one small port (`draft`) and one table (`table`)."""
