"""Pictures of other formats as arrays and back; alpha, metadata, metrics."""
