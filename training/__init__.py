"""Programs that make the weights kept under models/. Nothing here is imported by lfk or shipped in its wheel."""
