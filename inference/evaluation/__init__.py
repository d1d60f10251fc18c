"""How good a package is on pictures it has not seen: figures with intervals, tables, a page to read."""
