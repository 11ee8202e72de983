"""The .aec file: specification, chunks, container, parts, recovery, tiling, quality grid."""
