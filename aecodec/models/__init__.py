"""Released weights: registry, sizes, schema, file, model cards."""
