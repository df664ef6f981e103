"""`gica app`: a page to paint holes on, at home on this computer."""
