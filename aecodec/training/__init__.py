"""Fits weights: `config`, `data`, `optimizers`, `checkpoint`, `loop`. Nothing imports it."""
