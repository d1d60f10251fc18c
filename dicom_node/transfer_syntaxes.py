"""Which transfer syntaxes a storage association may use; tables only."""

from __future__ import annotations

from pydicom import uid

#: Little endian without compression: these convert into each other without touching a pixel (PS3.5 A.1, A.2).
UNCOMPRESSED: tuple[str, ...] = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian)

_COMPRESSED: tuple[str, ...] = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.JPEG2000MCLossless,
    uid.JPEG2000MC,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
    uid.RLELossless,
)

_VIDEO: tuple[str, ...] = (
    uid.MPEG2MPML,
    uid.MPEG2MPMLF,
    uid.MPEG2MPHL,
    uid.MPEG2MPHLF,
    uid.MPEG4HP41,
    uid.MPEG4HP41F,
    uid.MPEG4HP41BD,
    uid.MPEG4HP41BDF,
    uid.MPEG4HP422D,
    uid.MPEG4HP422DF,
    uid.MPEG4HP423D,
    uid.MPEG4HP423DF,
    uid.MPEG4HP42STEREO,
    uid.MPEG4HP42STEREOF,
    uid.HEVCMP51,
    uid.HEVCM10P51,
)

#: Everything a data set can be received and kept in, undecoded. Missing by intent: JPIP, whose pixels are elsewhere,
#: and real-time video (PS3.22), which no C-STORE carries.
ACCEPTED: tuple[str, ...] = (
    *UNCOMPRESSED,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    *_COMPRESSED,
    *_VIDEO,
)
