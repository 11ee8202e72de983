"""Symbols to pixels in exact integers, by rows of tiles."""
