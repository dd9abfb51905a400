"""The bus: codec and client."""
