"""Which studies are large, and how many of those are analysed at once: one of them must not hold up the small ones.

Of several workers one is kept for the others: a large study is claimed only while fewer than `most_large` are under
way, unless it is urgent. So small studies wait for small ones only, and a large one for its like.
"""

from __future__ import annotations

#: A study of so many images, or of so many bytes of them, is large. A brain MR has tens of images, a CT of the abdomen
#: some hundreds; bytes find what has few instances of many frames.
LARGE_IMAGES = 400
LARGE_BYTES = 250_000_000


def is_large(images: int, size_bytes: int) -> bool:
    """Whether a study of so many images, which have so many bytes as they are stored, may hold up others."""
    return images >= LARGE_IMAGES or size_bytes >= LARGE_BYTES


def most_large(workers: int) -> int:
    """How many large studies may be under way, urgent ones counted, when one more that is not urgent is claimed.

    A worker that is alone takes all studies: there is none to be kept free.
    """
    return max(1, workers - 1)
