"""The DICOM Conformance Statement (PS3.2 Annex N) of a configured node, from its own tables and from what it makes."""
