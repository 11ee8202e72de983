"""Data sets of pictures, of any number and anywhere: one command over Ray Data, with a manifest."""
