"""The room of the database: jobs and their fates, and the only SQL of the node; it opens no DICOM file."""

from dicom_node.store.store import Receipt, Store

__all__ = ["Receipt", "Store"]
