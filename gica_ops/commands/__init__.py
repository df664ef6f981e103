"""The commands of `gica`, one in a file. What a command works with it imports when it is called."""
