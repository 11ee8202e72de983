"""Fits the networks to pictures."""
