"""Photos before they leave: no position stays in them, the picture does, small ones are small."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from meshnode.photos import cleaned, thumbnail_of
from protocol.attachments import Media, check_thumbnail_untrusted, jpeg_size_untrusted
from protocol.errors import MalformedError
from protocol.guards import PHOTO_PIXELS_MAX, THUMBNAIL_BYTES_MAX

PLACE = b"44.8912345,6.6412345"


def picture(width: int = 320, height: int = 240) -> Image.Image:
    """Return a picture that is not all of one colour."""
    found = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    found.putpixel((3, 5), (255, 0, 0))
    return found


def photo(form: str = "JPEG", **more: object) -> bytes:
    """Return a photo that says where it was taken, in every way that phones know."""
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    exif[Base.DateTime] = "2026:11:26 08:30:00"
    exif[Base.Make] = "Phone"
    place: dict[int, object] = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (44.0, 53.0, 28.44)}
    exif.get_ifd(IFD.GPSInfo).update(place)
    target = io.BytesIO()
    picture().save(target, form, exif=exif, **more)
    return target.getvalue()


def clean(raw: bytes, media: Media = Media.JPEG) -> bytes:
    """Return a whole cleaned file."""
    return b"".join(cleaned(io.BytesIO(raw), media))


def test_a_jpeg_loses_its_place_and_keeps_its_picture_its_date_and_which_way_is_up() -> None:
    raw = photo(comment=PLACE, progressive=True, xmp=b"<xmp>" + PLACE)
    raw += b"film with its place: " + PLACE
    assert Image.open(io.BytesIO(raw)).getexif().get_ifd(IFD.GPSInfo)
    found = clean(raw)
    assert PLACE not in found
    before, after = Image.open(io.BytesIO(raw)), Image.open(io.BytesIO(found))
    assert before.convert("RGB").tobytes() == after.convert("RGB").tobytes()
    exif = after.getexif()
    assert not exif.get_ifd(IFD.GPSInfo)
    assert dict(exif) == {Base.Orientation: 6, Base.DateTime: "2026:11:26 08:30:00"}


def test_a_png_loses_its_texts_and_keeps_its_picture() -> None:
    raw = photo("PNG")
    text = b"tEXt" + b"Comment\0" + PLACE
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    raw = raw[:33] + chunk + raw[33:] + PLACE
    found = clean(raw, Media.PNG)
    assert PLACE not in found
    after = Image.open(io.BytesIO(found))
    assert not after.getexif()
    assert picture().tobytes() == after.convert("RGB").tobytes()


def test_a_photo_without_anything_beside_it_stays_as_it_is() -> None:
    target = io.BytesIO()
    picture().save(target, "JPEG")
    assert clean(target.getvalue()) == target.getvalue()


def test_other_files_go_as_they_are() -> None:
    assert clean(b"%PDF-1.7 " + PLACE, Media.PDF) == b"%PDF-1.7 " + PLACE


@pytest.mark.parametrize("cut", [3, 9, 40, 200])
def test_a_photo_that_is_cut_short_in_its_head_is_refused(cut: int) -> None:
    with pytest.raises(MalformedError):
        clean(photo()[:cut])


@given(st.binary(max_size=300))
def test_whatever_follows_the_first_bytes_ends_in_a_file_or_a_refusal(rest: bytes) -> None:
    for start, media in ((b"\xff\xd8\xff", Media.JPEG), (b"\x89PNG\r\n\x1a\n", Media.PNG)):
        try:
            found = clean(start + rest, media)
        except MalformedError:
            continue
        assert len(found) <= len(start + rest) + 80


@given(st.binary(max_size=120), st.sampled_from([b"II*\0", b"MM\0*"]))
def test_no_exif_breaks_the_cleaning(tiff: bytes, order: bytes) -> None:
    body = b"Exif\0\0" + order + tiff
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    raw = photo()
    found = clean(raw[:2] + segment + raw[2:])
    assert Image.open(io.BytesIO(found)).size == (320, 240)


def test_a_thumbnail_is_small_and_stands_upright() -> None:
    found = thumbnail_of(io.BytesIO(photo()), Media.JPEG)
    check_thumbnail_untrusted(found)
    assert 0 < len(found) <= THUMBNAIL_BYTES_MAX
    assert jpeg_size_untrusted(found) == (120, 160), "turned as the camera was held"
    assert PLACE not in found
    assert not Image.open(io.BytesIO(found)).getexif()


def test_a_bomb_is_not_unpacked() -> None:
    head = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    bomb = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + head + bytes(4)
    assert PHOTO_PIXELS_MAX < 60_000**2
    assert thumbnail_of(io.BytesIO(bomb), Media.PNG) == b""


@pytest.mark.parametrize("raw", [b"", b"\xff\xd8\xff", photo()[:400], b"%PDF-1.7"])
def test_what_is_no_photo_has_no_thumbnail(raw: bytes) -> None:
    assert thumbnail_of(io.BytesIO(raw), Media.JPEG) == b""
