"""Inpainting tools: `exemplar.fill` copies from the picture, `network.fill` asks a generator."""
