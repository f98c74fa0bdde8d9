"""Entry of `scripts/setup`: a folder that is run puts itself on the path, and nothing else has to."""

import sys

from libpod_setup.main import main

sys.exit(main(sys.argv[1:]))
