"""What people would run instead, each a program of its own that knows nothing of lfk."""
