"""The .aec file: specification, chunks, container, random access, recovery, tiling, quality grid."""
