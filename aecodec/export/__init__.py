"""A trained run to released integers and tables."""
