"""What lies beside pictures is analysed by its content, or left out with the reason; nothing is passed over in silence."""

from __future__ import annotations

import io
import os
import socket
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image as Pillow

from edgeleuk.errors import CameraError, EdgeleukError, InputError
from edgeleuk.render.leftout import left_out_lines
from edgeleuk.sources import open_source
from edgeleuk.sources.pictures.listing import pages_of, pictures
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.sources.stills import FolderSource, WatchSource
from edgeleuk.system.result_marks import marked
from edgeleuk.types import PictureFile, Refusal

PIXELS = np.full((80, 96, 3), (200, 30, 90), np.uint8)
OTHER = np.full((80, 96, 3), (30, 200, 90), np.uint8)
SMALL = np.full((20, 24, 3), (30, 200, 90), np.uint8)


def encoded(format: str, *more: np.ndarray, **options: object) -> bytes:
    """The picture, and more in the same file, as Pillow writes them."""
    target = io.BytesIO()
    others = [Pillow.fromarray(each) for each in more]
    several = {"save_all": True, "append_images": others} if others else {}
    Pillow.fromarray(PIXELS).save(target, format, **several, **options)
    return target.getvalue()


def heic(*more: np.ndarray, **options: object) -> bytes:
    target = io.BytesIO()
    made = pillow_heif.from_pillow(Pillow.fromarray(PIXELS))
    for each in more:
        made.add_from_pillow(Pillow.fromarray(each))
    made.save(target, **options)
    return target.getvalue()


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a.jpg", JPEG)
    return target.getvalue()


def tarred(mode: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=f"w{mode}") as archive:
        about = tarfile.TarInfo("a.jpg")
        about.size = len(JPEG)
        archive.addfile(about, io.BytesIO(JPEG))
    return target.getvalue()


JPEG = encoded("JPEG")
FILM = b"\0\0\0\x18ftypisom" + bytes(100)


def codes(folder: Path, *, recursive: bool = False) -> dict[str, str]:
    """Of all that a folder holds by its name: "picture", "error", or the code of what is left out."""
    said = {}
    for each in pictures([str(folder)], recursive):
        if isinstance(each, PictureFile):
            said[str(each.path.relative_to(folder))] = "picture"
        elif isinstance(each, Refusal):
            said.setdefault(str(Path(each.name).relative_to(folder)), each.code)
        else:
            said["error"] = str(each)
    return said


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jfif", JPEG), ("a.jpe", JPEG), ("a.MPO", JPEG), ("a", JPEG), ("a.dat", JPEG), ("DSC.0001", encoded("PNG")),
        ("a.bin", encoded("TIFF")), ("a.img", encoded("BMP")), ("a.x", encoded("WEBP")), ("a.photo", heic()),
        ("a.jpg~", JPEG), ("a.txt", JPEG),
    ],
)  # fmt: skip
def test_content_tells_what_is_a_picture(tmp_path: Path, name: str, data: bytes) -> None:
    """Whatever its suffix, a picture in a folder is found and read."""
    (tmp_path / name).write_bytes(data)
    (found,) = pictures([str(tmp_path)])
    assert isinstance(found, PictureFile)
    assert read_picture(found).pixels.shape == PIXELS.shape


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.zip", zipped(), "archive"), ("a", zipped(), "archive"), ("a.tar", tarred(""), "archive"),
        ("slide", tarred(""), "archive"), ("a.tgz", tarred(":gz"), "archive"), ("b.tar.xz", tarred(":xz"), "archive"),
        ("a.docx", zipped(), "other"), ("notes.txt", b"BMW and others", "other"), ("a.pdf", b"%PDF-1.7", "other"),
        ("empty", b"", "other"), ("Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(600), "other"),
        ("a.mp4", FILM, "video"), ("film", FILM, "video"), ("a.avi", b"RIFF\0\0\0\0AVI ", "video"),
        ("a.gif", encoded("GIF", OTHER), "format"), ("a.psd", b"8BPS", "format"), ("a", b"\xff\x0a" + bytes(20), "format"),
        ("a.dng", encoded("TIFF"), "raw"), ("a.NEF", encoded("TIFF"), "raw"), ("a.cr2", encoded("TIFF"), "raw"),
        ("a.svs", encoded("TIFF"), "scan"), ("a.lsm", encoded("TIFF"), "scan"), ("a", bytes(128) + b"DICM", "scan"),
        (".a.jpg", JPEG, "hidden"), (".DS_Store", b"x", "hidden"), ("._a.jpg", b"x", "hidden"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_left_out_with_the_reason(
    tmp_path: Path, name: str, data: bytes, code: str
) -> None:
    """Beside a picture it is named; alone it is an error that there is none."""
    (tmp_path / name).write_bytes(data)
    alone = codes(tmp_path)
    assert alone[name] == code
    assert alone["error"].startswith(f"{tmp_path} holds no pictures")
    (tmp_path / "z.jpg").write_bytes(JPEG)
    assert codes(tmp_path) == {name: code, "z.jpg": "picture"}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.zip", zipped(), "Unpack it"), ("a.jpg", zipped(), "Unpack it"), ("a.mp4", FILM, "live --source"),
        ("a.dng", encoded("TIFF"), "Save it as JPEG"), ("a.gif", encoded("GIF"), "Save it as JPEG"),
    ],
)  # fmt: skip
def test_what_is_named_by_itself_and_is_no_picture_is_an_error(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    """It says what the file is and what to do."""
    (tmp_path / name).write_bytes(data)
    (found,) = pictures([str(tmp_path / name)])
    assert isinstance(found, InputError)
    assert said in str(found)


def test_folders_and_links_are_told(tmp_path: Path) -> None:
    """Subfolders where -r is not given, hidden ones, and links to folders, which are never followed."""
    for name in ("sub", ".thumbnails", "a.jpg"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_bytes(JPEG)
    (tmp_path / "link").symlink_to("sub")
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "z.jpg").write_bytes(JPEG)
    beside = {".thumbnails": "hidden", "link": "link", "lost": "other", "z.jpg": "picture"}
    assert codes(tmp_path) == beside | {"sub": "folder", "a.jpg": "folder"}
    assert codes(tmp_path, recursive=True) == beside | {"sub/x.jpg": "picture", "a.jpg/x.jpg": "picture"}
    pattern = list(pictures([str(tmp_path / "*")]))
    assert {each.code for each in pattern if isinstance(each, Refusal)} == {"folder"}


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def piped(path: Path) -> None:
    os.mkfifo(path.with_suffix(".fifo"))
    path.symlink_to(path.with_suffix(".fifo").name)


@pytest.mark.parametrize("make", [pipe, device, listening, piped])
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Met in a folder or named, and read by itself, at once; the pictures beside it are found."""
    make(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(JPEG)
    began = time.monotonic()
    for named in (
        [str(tmp_path)],
        [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")],
        [str(tmp_path / "*.jpg")],
    ):
        error, good = (each for each in pictures(named) if not isinstance(each, Refusal))
        assert isinstance(error, InputError)
        assert str(error).startswith(f"{tmp_path}/a.jpg is a")
        assert good == PictureFile(tmp_path / "b.jpg")
    with pytest.raises(InputError, match="not a file"):
        read_picture(tmp_path / "a.jpg")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["film.mp4", "a.jpg", "a"])
def test_a_pipe_is_no_source(tmp_path: Path, name: str) -> None:
    """Named as a film or as a picture, it is refused and not waited for."""
    pipe(tmp_path / name)
    with pytest.raises(InputError, match="is a pipe, not a file"):
        open_source(str(tmp_path / name))


def test_a_special_file_without_a_pictures_name_is_left_out(tmp_path: Path) -> None:
    """It is no picture that fails, and it is not opened to see."""
    pipe(tmp_path / "control")
    listening(tmp_path / "s.sock")
    (tmp_path / "b.jpg").write_bytes(JPEG)
    assert codes(tmp_path) == {"b.jpg": "picture", "control": "special", "s.sock": "special"}


@pytest.mark.parametrize(
    ("name", "data", "more"),
    [
        ("stereo.mpo", encoded("MPO", OTHER), "1 more picture"),
        ("burst.jpg", encoded("MPO", OTHER, PIXELS), "2 more pictures"),
        ("live.heic", heic(OTHER), "1 more picture"),
        ("burst.heic", heic(OTHER, SMALL), "2 more pictures"),
        ("a.png", encoded("PNG", OTHER), "more pictures"),
        ("a.webp", encoded("WEBP", OTHER), "more pictures"),
    ],
)
def test_more_pictures_in_a_file_are_told(tmp_path: Path, name: str, data: bytes, more: str) -> None:
    """Its first one is analysed."""
    (tmp_path / name).write_bytes(data)
    first, told = pages_of(tmp_path / name)
    assert first == PictureFile(tmp_path / name)
    assert isinstance(told, Refusal)
    assert (told.code, told.exit_code) == ("inside", 0)
    assert f"holds {more}. Only the first one is analysed" in told.text


@pytest.mark.parametrize(
    "data",
    [JPEG, encoded("MPO", SMALL), heic(), heic(thumbnails=[32]), encoded("PNG"), encoded("WEBP")],
    ids=["JPEG", "gain map", "HEIC", "thumbnail", "PNG", "WebP"],
)
def test_thumbnails_and_gain_maps_are_no_pictures(tmp_path: Path, data: bytes) -> None:
    """Phones put them into every picture: nothing is said of them."""
    (tmp_path / "a.jpg").write_bytes(data)
    assert list(pages_of(tmp_path / "a.jpg")) == [PictureFile(tmp_path / "a.jpg")]


@pytest.mark.parametrize(
    "data", [encoded("MPO", OTHER), heic(OTHER), encoded("PNG", OTHER), encoded("TIFF", OTHER, SMALL)]
)
def test_a_damaged_index_of_pictures_is_no_fault_of_the_first(tmp_path: Path, data: bytes) -> None:
    """Whatever its bytes are, the file is listed, and quickly."""
    path = tmp_path / "a.jpg"
    rng = np.random.default_rng(0)
    for _ in range(200):
        altered = bytearray(data)
        for place in rng.integers(0, min(len(altered), 700), 6):
            altered[place] = rng.integers(256)
        path.write_bytes(altered[: rng.integers(12, len(altered))])
        assert list(pages_of(path))


def test_pages_that_are_not_there_are_told(tmp_path: Path) -> None:
    """A stack that was cut: the pages before are analysed."""
    path = tmp_path / "a.tif"
    path.write_bytes(encoded("TIFF", OTHER, PIXELS))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)
    *there, told = pages_of(path)
    assert [str(each) for each in there] == [f"{path} page 1", f"{path} page 2"]
    assert isinstance(told, Refusal)
    assert "it may be damaged" in told.text


def test_a_stack_with_one_directory_is_told(tmp_path: Path) -> None:
    """As ImageJ writes stacks of more than 4 GB: only the first of them can be read."""
    path = tmp_path / "a.tif"
    path.write_bytes(encoded("TIFF", tiffinfo={270: "ImageJ=1.54f\nimages=40\nslices=40\n"}))
    first, told = pages_of(path)
    assert first == PictureFile(path)
    assert isinstance(told, Refusal)
    assert "39 more pictures in one stack" in told.text


def test_a_file_with_nothing_but_a_preview_is_refused(tmp_path: Path) -> None:
    """As a raw file under another suffix: a preview is not the picture."""
    path = tmp_path / "a.tif"
    data = bytearray(encoded("TIFF", tiffinfo={254: 1}))
    path.write_bytes(data)
    (error,) = pages_of(path)
    assert isinstance(error, InputError)
    assert "holds a preview" in str(error)


@pytest.mark.parametrize("name", ["a.overlay.jpg", "renamed.jpg", "no-suffix"])
def test_annotated_pictures_are_no_inputs(tmp_path: Path, name: str) -> None:
    """Told by the mark inside them, wherever they lie and whatever they are called; a name alone is no mark."""
    (tmp_path / name).write_bytes(marked(JPEG, "00000000-0000-0000-0000-000000000001"))
    (tmp_path / "b.overlay.jpg").write_bytes(JPEG)
    assert codes(tmp_path) == {name: "result", "b.overlay.jpg": "picture"}
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR),
        cv2.imread(str(tmp_path / name)),
    )


def test_only_results_are_no_pictures(tmp_path: Path) -> None:
    """Named by a shell's pattern they are left out, and it is an error that nothing else is there."""
    (tmp_path / "a.jpg").write_bytes(marked(JPEG, "x"))
    told, error = pictures([str(tmp_path / "a.jpg")])
    assert isinstance(told, Refusal)
    assert isinstance(error, InputError)


def test_ten_thousand_pictures_are_listed_fast(tmp_path: Path) -> None:
    """Each file is looked at once, at its beginning."""
    (tmp_path / "0.jpg").write_bytes(JPEG)
    for number in range(1, 10_000):
        os.link(tmp_path / "0.jpg", tmp_path / f"{number}.jpg")
    began = time.monotonic()
    assert sum(isinstance(each, PictureFile) for each in pictures([str(tmp_path)])) == 10_000
    assert time.monotonic() - began < 20


def test_what_was_left_out_fits_a_terminal(tmp_path: Path) -> None:
    """A line a kind, with names as far as there is room, and nothing that steers."""
    many = [Refusal(f"{tmp_path}/{number}\x1b[31m{'x' * 60}.zip", "archive", "") for number in range(40)]
    lines = [line.plain for line in left_out_lines([*many, Refusal("a/.b", "hidden", "is hidden")])]
    assert len(lines) == 2
    assert all(len(line) <= 80 and line.isprintable() for line in lines)
    assert lines[0].startswith("Left out: 40 archives (0\\x1b")
    assert lines[0].endswith(": unpack them.")


# Sources of live counts list by the same rules.


def test_a_folder_as_a_source_lists_by_the_same_rules(tmp_path: Path) -> None:
    """A picture without a suffix is read, what is none is told, and a pipe costs one line."""
    (tmp_path / "a").write_bytes(JPEG)
    (tmp_path / "b.zip").write_bytes(zipped())
    pipe(tmp_path / "c.jpg")
    (tmp_path / "d.jpg").write_bytes(JPEG)
    source = FolderSource([str(tmp_path)])
    assert [each.code for each in source.info.left_out] == ["archive"]
    assert source.read(1)
    with pytest.raises(InputError, match=r"c\.jpg is a pipe"):
        source.read(1)
    assert source.read(1)
    assert source.read(1) is None


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("a", JPEG, ""), ("b.jfif", JPEG, ""), ("a.zip", zipped(), "is an archive"), ("b.txt", b"x", "is no picture"),
     ("c.jpg", marked(JPEG, "x"), "was written by this program")],
)  # fmt: skip
def test_a_watched_folder_lists_by_the_same_rules(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    """What appears there is read by its content, or told."""
    source = WatchSource(tmp_path)
    (tmp_path / "x.jpg.part").write_bytes(JPEG)
    (tmp_path / name).write_bytes(data)
    if said:
        with pytest.raises(EdgeleukError, match=said):
            source.read(10)
    else:
        assert source.read(10).frame.name == str(tmp_path / name)
    with pytest.raises(CameraError, match="no new picture"):
        source.read(0.5)


def test_a_pipe_in_a_watched_folder_is_told(tmp_path: Path) -> None:
    """It is not opened, and a link to nothing ends no listing."""
    source = WatchSource(tmp_path)
    pipe(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("nowhere")
    with pytest.raises(InputError, match="is a pipe"):
        source.read(10)


def test_a_bmp_needs_more_than_two_letters(tmp_path: Path) -> None:
    """A text that begins with BM is no picture."""
    (tmp_path / "a").write_bytes(b"BM" + struct.pack("<I", 70) + bytes(60))
    assert codes(tmp_path)["a"] == "other"
