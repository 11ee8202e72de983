"""Where bytes lie: files written whole, paths, URLs."""
