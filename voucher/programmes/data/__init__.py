"""Policies of real programmes, as far as their texts could be read."""
