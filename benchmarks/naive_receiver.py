"""What most write first, to compare with: decode and save. `python -m benchmarks.naive_receiver PORT FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event


def main() -> None:
    """Listen until it is killed; images of whoever calls go to the folder."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])

    def store(event: Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        dataset.save_as(folder / f"{dataset.SOPInstanceUID}.dcm", enforce_file_format=True)
        return 0

    entity = AE(ae_title="NAIVE")
    entity.supported_contexts = AllStoragePresentationContexts
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main()
