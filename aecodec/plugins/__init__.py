"""`.aec` files in other libraries: Pillow, imageio, PyTorch, zarr and numcodecs."""
