"""multipart/related as it comes: parts whole and in order, however the bytes are cut, and nothing without an end."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom_node.web.multipart_related import BLOCK_BYTES, PartBounds, blocks_of, boundary_of, parts_of
from dicom_node.web.refusals import BadSyntax, RequestRefused, TooLarge, TooSlow, WrongMediaType
from tests.builders.uploads import BOUNDARY, part, related


@pytest.fixture
def parts(tmp_path):
    """What comes out of a body that is cut into these pieces."""

    def parts(pieces, part_bytes=1 << 20):
        async def stream():
            for piece in pieces:
                yield piece

        async def read():
            found = parts_of(stream(), BOUNDARY, PartBounds(part_bytes, tmp_path, 0))
            return [(each.content_type, each.file.read()) async for each in found]

        return asyncio.run(read())

    return parts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    contents=st.lists(st.binary(max_size=80) | st.just(f"\r\n--{BOUNDARY[:-1]}\r\n--".encode()), max_size=4),
    size=st.integers(1, 60),
)
def test_parts_are_whole_however_they_are_cut(parts, contents, size):
    """A boundary may lie across pieces, and what is nearly one may be in an object."""
    body = related(contents)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    assert parts(pieces) == [("application/dicom", content) for content in contents]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(body=st.binary(max_size=300), before=st.booleans())
def test_garbage_is_refused_and_nothing_else_happens(parts, body, before):
    """Whatever comes, it is parts or a refusal."""
    try:
        found = parts([part(b"abc"), body] if before else [body])
    except RequestRefused:
        return
    assert found[: int(before)] == [("application/dicom", b"abc")][: int(before)]


@pytest.mark.parametrize(
    "body",
    [b"", b"nothing", part(b"abc"), part(b"abc") + f"--{BOUNDARY}".encode(), f"--{BOUNDARY}\r\nno colon\r\n".encode(),
     f"--{BOUNDARY}\r\n\xff: x\r\n".encode("latin1")],
)  # fmt: skip
def test_what_has_no_end_or_no_head_is_refused(parts, body):
    """And nothing of the body is repeated in the refusal."""
    with pytest.raises(BadSyntax) as caught:
        parts([body])
    assert "xff" not in str(caught.value)
    assert "colon" not in str(caught.value)


@pytest.mark.parametrize("before", [b"", related([b"abc"])])
def test_bytes_beside_the_parts_come_to_an_end(parts, before):
    """A preamble or epilogue is allowed, but not one that goes on and on."""
    with pytest.raises(BadSyntax, match="belong to no part"):
        parts([before + b"\r\n", b"x" * BLOCK_BYTES, related([])])


def test_a_part_has_a_bound(parts):
    """Exactly so much, and not a byte more."""
    assert parts([related([b"x" * 100])], part_bytes=100) == [("application/dicom", b"x" * 100)]
    with pytest.raises(TooLarge):
        parts([related([b"x" * 101])], part_bytes=100)


def test_a_header_has_a_bound(parts):
    """Neither a long one nor many."""
    for header in (b"X: " + b"y" * 10_000, b"X: y\r\n" * 100):
        with pytest.raises(TooLarge):
            parts([f"--{BOUNDARY}\r\n".encode() + header + b"\r\n\r\n"])


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [('Multipart/Related; Type="application/dicom"; boundary="a b"', "a b"),
     ("multipart/related; boundary=abc; type=application/dicom; start=x", "abc"),
     ("multipart/related;boundary=abc", "abc")],
)  # fmt: skip
def test_a_boundary_may_be_quoted(content_type, expected):
    """Names in any case and any order."""
    assert boundary_of(content_type) == expected


@pytest.mark.parametrize(
    ("content_type", "error"),
    [("multipart/related; boundary=", BadSyntax), ('multipart/related; boundary="a\nb"', BadSyntax),
     ("multipart/mixed; boundary=a", WrongMediaType), ("multipart/related; type=text/xml; boundary=a", WrongMediaType)],
)  # fmt: skip
def test_other_content_types_are_refused(content_type, error):
    """With the status of each."""
    with pytest.raises(error):
        boundary_of(content_type)


def test_a_stream_that_stalls_is_given_up():
    """It has so long for each block; drops that keep coming are not enough."""

    async def dripping():
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async def read():
        async for _ in blocks_of(dripping(), within_s=0.1):
            pass

    with pytest.raises(TooSlow):
        asyncio.run(read())
