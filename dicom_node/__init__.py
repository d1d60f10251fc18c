"""The DICOM node: the only code that touches socket, disk and clock."""
