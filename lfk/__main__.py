"""``python -m lfk`` is the ``lfk`` command."""

import sys

from lfk.cli.main import main

sys.exit(main())
