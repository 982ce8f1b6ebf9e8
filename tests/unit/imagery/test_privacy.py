"""Pictures that leave: what is chosen is gone for good, what is found is unreadable, nothing of the camera's own record comes along."""

from __future__ import annotations

import hashlib
import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry import box

from imagery import privacy
from imagery.errors import PhotoError
from imagery.lettering import FONT

Pixels = NDArray[np.uint8]
COLOURS = {"blue": ((20, 60, 170), (255, 255, 255)), "yellow": ((240, 190, 30), (10, 10, 10))}


def plate(colour: str, height_px: int) -> Pixels:
    """A rendered number plate (440 x 140 mm) as a camera would see it so small."""
    ground, ink = COLOURS[colour]
    picture = Image.new("RGB", (440, 140), ground)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((6, 6, 433, 133), outline=ink, width=3)
    for i, sign in enumerate("苏F·8D26K"):
        font = ImageFont.truetype(str(FONT), 88)
        draw.text((20 + i * 50, 14), sign, fill=ink, font=font, stroke_width=2, stroke_fill=ink)
    return np.asarray(picture.resize((round(440 * height_px / 140), height_px), Image.Resampling.BOX))


def street(colour: str, height_px: int) -> tuple[Pixels, tuple[int, int, int, int]]:
    """A grey road with a dark car and its plate; where the plate lies."""
    picture = np.random.default_rng(4).normal(125, 6, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    sign = plate(colour, height_px)
    rows, cols = sign.shape[:2]
    picture[120 : 150 + rows, 100 : 140 + cols] = (60, 62, 66)
    picture[130 : 130 + rows, 120 : 120 + cols] = sign
    return picture, (120, 130, cols, rows)


def jpeg(pixels: Pixels) -> bytes:
    """A camera's JPEG with EXIF and a place in it."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "SECRETMAKER"
    exif.get_ifd(0x8825)[1] = "N"
    Image.fromarray(pixels).save(out, "JPEG", quality=92, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("colour", ["blue", "yellow"])
@pytest.mark.parametrize("height_px", [16, 24, 48])
def test_a_plate_is_found_and_cannot_be_read(colour: str, height_px: int) -> None:
    """From sixteen pixels on a plate is found; what is left of it has no strokes and no detector finds it again."""
    pixels, (x, y, w, h) = street(colour, height_px)
    done = privacy.publish(jpeg(pixels), user="王五", at="2026-11-25 10:00")
    assert done.plates == 1
    out = cv2.imdecode(np.frombuffer(done.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    before = cv2.Laplacian(cv2.cvtColor(pixels[y : y + h, x : x + w], cv2.COLOR_RGB2GRAY), cv2.CV_32F).std()
    clean = pixels.copy()
    privacy.blur(clean, (x, y, w, h))
    after = cv2.Laplacian(cv2.cvtColor(clean[y : y + h, x : x + w], cv2.COLOR_RGB2GRAY), cv2.CV_32F).std()
    assert after < 0.1 * before
    assert privacy.plates(np.ascontiguousarray(out[: pixels.shape[0]])) == ()


def test_a_street_without_plates_has_none() -> None:
    """A plain blue roof and a plain road are no plates."""
    pixels, _ = street("blue", 24)
    pixels[130:154, 120:195] = (20, 60, 170)
    assert privacy.plates(pixels) == ()


def test_a_face_is_blurred() -> None:
    """A real face (the astronaut of scikit-image, public domain) is found, and not again afterwards."""
    from skimage.data import astronaut

    pixels = np.ascontiguousarray(astronaut()[40:240, 130:330][::2, ::2])
    assert len(privacy.faces(pixels)) >= 1
    done = privacy.publish(jpeg(pixels), user="u", at="t", find_plates=False)
    assert done.faces >= 1
    out = cv2.imdecode(np.frombuffer(done.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)[: pixels.shape[0]]
    assert privacy.faces(np.ascontiguousarray(out)) == ()


def test_a_chosen_place_is_gone_for_good() -> None:
    """Two pictures that differ only under the mask come out the same there: nothing of it can be brought back."""
    pixels, (x, y, w, h) = street("blue", 48)
    other = pixels.copy()
    other[y : y + h, x : x + w] = 255 - other[y : y + h, x : x + w]
    hidden = box(x - 8, y - 8, x + w + 8, y + h + 8)
    outs = []
    for picture in (pixels, other):
        png = io.BytesIO()
        Image.fromarray(picture).save(png, "PNG")
        done = privacy.publish(png.getvalue(), user="u", at="t", masks_px=[hidden], find_faces=False, find_plates=False)
        outs.append(cv2.imdecode(np.frombuffer(done.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)[y : y + h, x : x + w])
        assert done.masked == 1
    np.testing.assert_array_equal(outs[0], outs[1])


def test_nothing_of_the_cameras_record_leaves() -> None:
    """No EXIF, no maker, no place; the original's hash is on record and differs from what is handed out."""
    given = jpeg(street("blue", 24)[0])
    assert b"SECRETMAKER" in given
    done = privacy.publish(given, user="王五", at="2026-11-25 10:00", find_faces=False)
    with Image.open(io.BytesIO(done.jpeg)) as picture:
        assert not dict(picture.getexif())
    assert b"SECRETMAKER" not in done.jpeg
    assert b"Exif" not in done.jpeg
    assert done.original_sha256 == hashlib.sha256(given).hexdigest()
    assert done.sha256 == hashlib.sha256(done.jpeg).hexdigest() != done.original_sha256


def test_two_takers_get_two_pictures() -> None:
    """The watermark tells who took it, all over the picture: a corner cut out still differs."""
    given = jpeg(np.full((400, 600, 3), 90, np.uint8))
    outs = [
        cv2.imdecode(np.frombuffer(privacy.publish(given, user=u, at="t", find_faces=False).jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        for u in ("甲", "乙")
    ]
    assert (np.abs(outs[0][:400].astype(int) - outs[1][:400]).max(axis=2) > 20).any(axis=1).sum() > 40
    for half in (outs[0][:200], outs[0][200:400]):
        assert (half.max(axis=2) > 115).sum() > 100


def test_where_nobody_can_be_recognised_nothing_is_looked_for() -> None:
    """At 5 cm a plate is three pixels high: the record says so instead of claiming that none is there."""
    done = privacy.publish(jpeg(street("blue", 24)[0]), user="u", at="t", gsd_m=0.05)
    assert (done.faces, done.plates) == (0, 0)
    assert sum("too small" in note for note in done.notes) == 2


def test_no_picture_is_handed_out_unread() -> None:
    """What cannot be decoded cannot be checked, so it does not leave."""
    for given in (b"", b"not a picture"):
        with pytest.raises(PhotoError):
            privacy.publish(given, user="u", at="t")
