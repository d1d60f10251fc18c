"""De-identified copies for research: PS3.15 Annex E with keyed pseudonyms, checked before they leave."""
