"""Recipes by name: `trill train --recipe NAME` reads the TOML files in this folder."""
