"""Inpainting tools on top of the layer. `exemplar.fill` needs no weights."""
