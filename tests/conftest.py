"""Before anything imports torch: tests run side by side, and threads that wait by spinning would take their cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
