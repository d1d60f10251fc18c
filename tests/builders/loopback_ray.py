"""`ray start` on this machine's loopback address alone: `python -m tests.builders.loopback_ray start ...`.

Ray takes 127.0.0.1 for "some address of this machine", looks for one that others reach, and then listens everywhere.
"""

from ray._private import services
from ray.scripts.scripts import main

from tests.builders.network import HOST

services.get_node_ip_address = lambda _address=None: HOST

if __name__ == "__main__":
    main()
