"""The node's vocabulary: frozen records and tables, no input or output."""
