import math

import pytest

from emogen.data.buckets import (
    ASPECTS,
    Bucket,
    BucketError,
    BucketReport,
    Placement,
    check_multiple,
    make_buckets,
    parse_bucket,
    place,
)

WIDE = Bucket(81, 480, 832)


def kinds(placement):
    return [note.kind for note in placement.notes]


# --- what buckets there are


@pytest.mark.parametrize("text", ["81x480x832", " 81 x 480 x 832 ", "81×480×832"])  # noqa: RUF001
def test_a_bucket_is_written_as_frames_height_width(text):
    assert parse_bucket(text) == WIDE
    assert str(WIDE) == "81x480x832"
    assert parse_bucket(str(Bucket(1, 96, 96))) == Bucket(1, 96, 96)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("480x832", "FRAMESxHEIGHTxWIDTH, such as 81x480x832"),
        ("81x480x832x3", "FRAMESxHEIGHTxWIDTH"),
        ("-81x480x832", "FRAMESxHEIGHTxWIDTH"),
        ("80x480x832", "80x480x832: 80 frames are not 4k \\+ 1; take 77 or 81"),
        ("0x480x832", "take 1 or 5"),
        ("81x0x832", "the height must be a multiple"),
    ],
)
def test_a_wrong_bucket_is_named(text, message):
    with pytest.raises(BucketError, match=message):
        parse_bucket(text)


def test_the_autoencoder_decides_which_lengths_there_are():
    assert parse_bucket("7x96x96", temporal=2).num_frames == 7
    with pytest.raises(BucketError, match="7 frames are not 4k"):
        parse_bucket("7x96x96")


def test_sides_must_be_multiples():
    check_multiple(WIDE, 16)
    with pytest.raises(BucketError, match="81x480x840: the width must be a multiple of 16, such as 832 or 848"):
        check_multiple(Bucket(81, 480, 840), 16)
    with pytest.raises(BucketError, match=r"height must be a multiple of 16, such as 16$"):
        check_multiple(Bucket(81, 8, 832), 16)


def test_buckets_are_made_for_every_length_area_and_ratio():
    buckets = make_buckets([1, 81], [480 * 832, 720 * 1280], 16)
    assert len(buckets) == 2 * 2 * len(ASPECTS) and buckets == sorted(buckets)
    for bucket in buckets:
        check_multiple(bucket, 16)
        area = min((480 * 832, 720 * 1280), key=lambda area: abs(math.log(area / bucket.height / bucket.width)))
        assert bucket.height * bucket.width == pytest.approx(area, rel=0.04)
        assert min(abs(bucket.width / bucket.height / aspect - 1) for aspect in ASPECTS) < 0.04
    assert {(b.width, b.height) for b in buckets} == {(b.height, b.width) for b in buckets}
    assert make_buckets([81], [480 * 832], 16, [832 / 480]) == [WIDE]
    assert make_buckets([5], [10, 20], 16, [1.0]) == [Bucket(5, 16, 16)]  # the same size once, never none


def test_wrong_lengths_and_sizes_are_refused():
    with pytest.raises(BucketError, match="82 frames are not 4k"):
        make_buckets([81, 82], [480 * 832], 16)
    for wrong in ({"areas": [0]}, {"aspects": [-1.0]}, {"aspects": [float("nan")]}, {"multiple": 0}):
        with pytest.raises(BucketError, match="must be positive"):
            make_buckets(**{"num_frames": [81], "areas": [400], "multiple": 16} | wrong)


# --- where a clip goes


@pytest.mark.parametrize(("frames", "length"), [(13, 13), (14, 13), (80, 49), (81, 81), (200, 81)])
def test_a_clip_goes_to_the_longest_bucket_it_fills(frames, length):
    put = place(frames, 480, 832, make_buckets([1, 13, 49, 81], [480 * 832], 16))
    assert put.bucket.num_frames == length
    assert kinds(put) == ([] if frames == length else ["shortened"])
    if frames > length:
        assert put.notes == (f"{length} of {frames} frames at the model's rate are used",)


@pytest.mark.parametrize("size", ["480x832", "832x480", "600x600", "768x576", "1080x1920", "576x768"])
def test_a_clip_goes_to_the_nearest_aspect_ratio(size):
    height, width = map(int, size.split("x"))
    buckets = make_buckets([13], [480 * 832], 16)
    put = place(13, height, width, buckets)
    best = min(buckets, key=lambda b: abs(math.log(b.width / b.height / width * height)))
    assert put.bucket == best and put.cropped < 0.04 and not put.notes


def test_a_clip_goes_to_the_largest_size_that_does_not_enlarge_it():
    """Also when rounding made the smaller resolution's ratio a little nearer, as with 16:9 here."""
    buckets = make_buckets([13], [240 * 416, 480 * 832, 720 * 1280], 16)
    for height, area in ((240, 240 * 416), (480, 480 * 832), (700, 720 * 1280), (640, 480 * 832), (1080, 720 * 1280)):
        bucket = place(13, height, height * 16 // 9, buckets).bucket
        assert bucket.height * bucket.width == pytest.approx(area, rel=0.1), height


def test_of_two_ratios_at_one_resolution_the_nearer_wins():
    narrow, wide = Bucket(13, 480, 624), Bucket(13, 480, 640)  # 4:3 is exactly the second
    assert place(13, 480, 640, [narrow, wide]).bucket == wide
    assert place(13, 480, 624, [narrow, wide]).bucket == narrow


def test_enlarging_is_said_beyond_the_limit():
    put = place(81, 240, 416, [WIDE, Bucket(81, 720, 1248)])
    assert put.bucket == WIDE and put.upscale == 2
    assert kinds(put) == ["upscaled"] and put.notes == ("240x416 enlarged 2.00 times to 480x832",)
    assert place(81, 480 / 1.05, 832 / 1.05, [WIDE]).notes == ()
    assert place(81, 240, 416, [WIDE], max_upscale=2).notes == ()
    assert place(81, 960, 1664, [WIDE]).upscale == 0.5


def test_cropping_is_said_beyond_the_limit():
    put = place(81, 832, 480, [WIDE])
    assert put.bucket == WIDE and put.cropped == pytest.approx(1 - (480 / 832) ** 2)
    assert kinds(put) == ["upscaled", "cropped"] and put.notes[1] == "67% of 832x480 cut off to fit 480x832"
    assert place(81, 960, 1800, [WIDE]).notes == ()
    assert kinds(place(81, 960, 1800, [WIDE], max_crop=0.05)) == ["cropped"]


def test_a_clip_that_fills_no_bucket_is_dropped_or_lengthened():
    buckets = [Bucket(49, 480, 832), WIDE]
    put = place(9, 480, 832, buckets)
    assert put.bucket is None and kinds(put) == ["too short"]
    assert put.notes == ("9 frames at the model's rate; the shortest bucket has 49",)
    put = place(9, 480, 832, buckets, can_lengthen=True)
    assert put.bucket == buckets[0] and kinds(put) == ["lengthened"]
    assert put.notes == ("9 frames at the model's rate; repeated to 49",)


def test_buckets_of_one_frame_are_for_images():
    still, moving = Bucket(1, 480, 832), Bucket(13, 480, 832)
    assert place(1, 480, 832, [still, moving]).bucket == still
    assert place(9, 480, 832, [still, moving]).bucket is None
    assert place(9, 480, 832, [still, moving], can_lengthen=True).bucket == moving
    assert place(9, 480, 832, [still]).bucket == still
    put = place(1, 480, 832, [moving])
    assert put.bucket is None and kinds(put) == ["image without a bucket of one frame"]
    assert place(1, 480, 832, [moving], can_lengthen=True).bucket == moving


@pytest.mark.parametrize("wrong", [(0, 480, 832, [WIDE]), (81, 0, 832, [WIDE]), (81, 480, 832, [])])
def test_a_clip_without_frames_or_buckets_is_refused(wrong):
    with pytest.raises(ValueError, match="cannot place a clip"):
        place(*wrong)


# --- the report


def test_the_report_counts_first_and_then_names_every_clip():
    buckets = [Bucket(1, 480, 832), Bucket(49, 480, 832), WIDE]
    report = BucketReport()
    for name, frames, height in (("a", 81, 480), ("b", 90, 480), ("c", 90, 120), ("d", 9, 480), ("e", 50, 480)):
        report.add(f"{name}.mp4", place(frames, height, height * 26 // 15, buckets))
    report.add("f.mp4", Placement(None, ("f.mp4: cannot be decoded",)))
    assert report.dropped == {
        "d.mp4": "9 frames at the model's rate; the shortest bucket has 49",
        "f.mp4": "f.mp4: cannot be decoded",
    }
    assert report.counts() == {buckets[1]: 1, WIDE: 3}
    assert str(report).splitlines() == [
        "4 of 6 clips in 2 buckets:",
        "  49x480x832       1",
        "  81x480x832       3",
        "notes: 1 dropped, too short; 1 dropped, other; 3 shortened; 1 upscaled",
        "dropped, too short:",
        "  d.mp4: 9 frames at the model's rate; the shortest bucket has 49",
        "dropped, other:",
        "  f.mp4: f.mp4: cannot be decoded",
        "shortened:",
        "  b.mp4: 81 of 90 frames at the model's rate are used",
        "  c.mp4: 81 of 90 frames at the model's rate are used",
        "  e.mp4: 49 of 50 frames at the model's rate are used",
        "upscaled:",
        "  c.mp4: 120x208 enlarged 4.00 times to 480x832",
    ]
    short = report.text(limit=1).splitlines()
    assert short[:4] == str(report).splitlines()[:4]
    assert short[8:] == [
        "shortened:",
        "  b.mp4: 81 of 90 frames at the model's rate are used",
        "  ... and 2 more",
        "upscaled:",
        "  c.mp4: 120x208 enlarged 4.00 times to 480x832",
    ]


def test_a_report_without_notes_is_short():
    report = BucketReport()
    report.add("a", Placement(WIDE))
    assert report.text() == "1 of 1 clips in 1 bucket:\n  81x480x832       1" and not report.dropped
