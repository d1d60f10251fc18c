"""The container's health check: a C-ECHO (PS3.4 Annex A) to the node in it, by the configuration that node runs with.

A rejected association is a sign of life too: a DICOM listener read the request and answered it. A configuration that
does not list the peer HEALTH stays healthy, therefore, at the price of one line of log for each check.
"""

import os
import sys
from pathlib import Path

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import DeliveryError, PeerRefused
from dicom_node.peers import echo
from dicom_node.settings import load_settings

AE_TITLE = "HEALTH"
#: Where a node that listens on every interface is reached from inside.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def main() -> None:
    """Exit 0 while the node answers, 1 with a sentence when it does not."""
    node = load_settings(Path(os.environ["DICOM_NODE_CONFIG"]), os.environ).node
    here = Destination("this node", node.ae_title, LOOPBACK.get(node.host, node.host), node.port)
    try:
        echo(here, AE_TITLE)
    except PeerRefused:
        pass
    except DeliveryError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
