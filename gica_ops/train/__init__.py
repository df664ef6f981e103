"""Training: the papers' losses and recipes, and a loop that goes on where it was killed."""
