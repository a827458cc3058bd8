"""The offline diariser: who speaks when, from weights that come in packages."""
