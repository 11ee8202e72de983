"""File to file, many files."""
