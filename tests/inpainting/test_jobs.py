"""Which picture gets which mask and goes where, and what is refused before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gica_ops.inpainting.jobs import Job, plan


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def paths(jobs: list[Job]) -> list[tuple[str, str, str]]:
    assert all(job.error is None for job in jobs), jobs
    return [(str(job.image), str(job.mask), str(job.output)) for job in jobs]


def errors(jobs: list[Job]) -> dict[str, str]:
    return {job.image.name: job.error for job in jobs if job.error is not None}


def test_a_folder_takes_pictures_by_suffix_and_masks_by_stem(here):
    touch("in/b.png", "in/a.JPG", "in/notes.txt", "in/.hidden.png", "in/below/c.png")
    touch("masks/a.tif", "masks/b.png", "masks/other.png")
    jobs = plan("in", "masks", "out")
    assert paths(jobs) == [
        ("in/a.JPG", "masks/a.tif", "out/a.JPG"),
        ("in/b.png", "masks/b.png", "out/b.png"),
    ]
    assert [job.form for job in jobs] == [None, None]
    assert not Path("out").exists()


def test_one_mask_for_all(here):
    touch("in/a.png", "in/b.png", "m.png")
    assert {job.mask for job in plan("in", "m.png", "out")} == {Path("m.png")}


def test_recursive_keeps_places_and_leaves_masks_and_output_alone(here):
    touch("in/a.png", "in/x/a.png", "in/x/y/b.jpg", "in/out/old.png", "in/masks/a.png")
    touch("in/masks/x/a.webp", "in/masks/x/y/b.png")
    assert paths(plan("in", "in/masks", "in/out", recursive=True)) == [
        ("in/a.png", "in/masks/a.png", "in/out/a.png"),
        ("in/x/a.png", "in/masks/x/a.webp", "in/out/x/a.png"),
        ("in/x/y/b.jpg", "in/masks/x/y/b.png", "in/out/x/y/b.jpg"),
    ]


def test_a_glob_keeps_what_lies_below_its_first_wildcard(here):
    touch("in/x/1.png", "in/y/1.png", "in/y/2.jpg", "in/z/1.txt", "m.png", "in/y/.1.png")
    outputs = [str(job.output) for job in plan("in/*/*", "m.png", "out")]
    assert outputs == ["out/x/1.png", "out/y/1.png", "out/y/2.jpg"]
    outputs = [str(job.output) for job in plan(f"{here}/in/**/1.*", "m.png", "out")]
    assert outputs == ["out/x/1.png", "out/y/1.png"]
    touch("in/[x].png")  # a file of that name is no glob
    assert paths(plan("in/[x].png", "m.png", "o.png")) == [("in/[x].png", "m.png", "o.png")]


def test_a_mask_of_the_same_name_comes_first_and_two_of_one_stem_are_refused(here):
    touch("in/a.png", "in/a.jpg", "in/b.gif", "masks/a.png", "masks/a.jpg")
    touch("masks/b.png", "masks/b.tif")
    jobs = plan("in", "masks", "out")
    assert [str(job.mask) for job in jobs[:2]] == ["masks/a.jpg", "masks/a.png"]
    assert errors(jobs) == {"b.gif": "mask folder 'masks' holds b.png and b.tif for 'b.gif'"}


def test_what_is_no_file_or_has_no_mask_is_named(here):
    touch("in/a.png", "masks/other.png")
    Path("in/b.png").mkdir()
    Path("in/c.png").symlink_to("nowhere")
    found = errors(plan("in", "masks", "out"))
    assert "holds no mask for 'a.png'" in found["a.png"]
    assert found["b.png"] == "image 'in/b.png' is a folder"
    assert found["c.png"] == "image 'in/c.png' is no file"


def test_two_pictures_for_one_output_are_refused_before_anything_starts(here):
    touch("in/a.png", "in/a.jpg", "m.png")
    assert len(plan("in", "m.png", "out")) == 2
    with pytest.raises(ValueError, match=r"'in/a.jpg' and 'in/a.png' would both .* 'out/a.png'"):
        plan("in", "m.png", "out", form="png")
    touch("in/a_concat.png")
    with pytest.raises(ValueError, match=r"would both be written to 'out/a_concat.png'"):
        plan("in", "m.png", "out", beside=("concat",))


def test_forms(here):
    touch("in/a.jpeg", "m.png")
    (job,) = plan("in", "m.png", "out", form=".TIFF")
    assert (str(job.output), job.form) == ("out/a.tiff", "TIFF")
    with pytest.raises(ValueError, match="format must be one that can be written"):
        plan("in", "m.png", "out", form="docx")
    with pytest.raises(ValueError, match="format is for folders"):
        plan("in/a.jpeg", "m.png", "out.png", form="png")


def test_existing_outputs_in_folders(here):
    touch("in/a.png", "in/b.png", "m.png", "out/a.png")
    assert errors(plan("in", "m.png", "out")) == {
        "a.png": "output 'out/a.png' is there already: --overwrite or --skip-existing says what "
        "to do"
    }
    assert [job.skip for job in plan("in", "m.png", "out", existing="skip")] == [True, False]
    jobs = plan("in", "m.png", "out", existing="overwrite")
    assert not errors(jobs) and not any(job.skip for job in jobs)
    touch("out/b_concat.png")  # of a run that was stopped
    assert not errors(plan("in", "m.png", "out", existing="skip", beside=["concat"]))
    assert "b_concat.png" in errors(plan("in", "m.png", "out", beside=["concat"]))["b.png"]
    with pytest.raises(ValueError, match="existing must be one of"):
        plan("in", "m.png", "out", existing="maybe")


def test_one_explicit_file_is_overwritten_but_no_input(here):
    touch("a.png", "m.png", "out.png", "out/b.png")
    assert not errors(plan("a.png", "m.png", "out.png"))
    assert plan("a.png", "m.png", "out.png", existing="skip")[0].skip
    assert "is the image itself" in errors(plan("a.png", "m.png", "a.png"))["a.png"]
    assert not errors(plan("a.png", "m.png", "a.png", existing="overwrite"))
    for existing in ("refuse", "overwrite"):
        found = errors(plan("a.png", "m.png", "./m.png", existing=existing))
        assert "is an image or a mask to be read" in found["a.png"]
    os.link("a.png", "same.png")
    Path("link.png").symlink_to("a.png")
    assert "the image itself" in errors(plan("a.png", "m.png", "link.png"))["a.png"]


def test_inputs_in_the_output_folder(here):
    touch("in/a.png", "in/b.png", "m.png")
    assert len(errors(plan("in", "m.png", "in"))) == 2
    assert not errors(plan("in", "m.png", "in", existing="overwrite"))
    assert all(job.skip for job in plan("in", "m.png", "in", existing="skip"))
    touch("in/a_concat.png")  # a picture that another would write beside its output
    with pytest.raises(ValueError, match="would both"):
        plan("in", "m.png", "in", existing="overwrite", beside=["concat", "x"])
    touch("out/c.png", "pics/c.jpg")
    found = errors(plan("pics", "out/c.png", "out", form="png", existing="overwrite"))
    assert found == {"c.jpg": "output 'out/c.png' is an image or a mask to be read"}


def test_nothing_goes_outside_of_the_output_folder(here):
    touch("in/x/a.png", "in/b.png", "in/c.png", "m.png", "elsewhere/a.png", "elsewhere/b.png")
    Path("out").mkdir()
    Path("out/x").symlink_to("../elsewhere")
    Path("out/b.png").symlink_to("../elsewhere/b.png")
    Path("out/c.png").symlink_to("../elsewhere/new.png")
    for existing in ("refuse", "overwrite"):
        found = errors(plan("in", "m.png", "out", recursive=True, existing=existing))
        assert found.keys() == {"a.png", "b.png", "c.png"}
        assert all("would lie outside of 'out'" in error for error in found.values())
    touch("up/b.png")
    found = errors(plan("in/*/../../up/*.png", "m.png", "out"))
    assert found and all("would lie outside" in error for error in found.values())
    Path("linked").symlink_to("in")  # the folders that were named may be links
    Path("there").symlink_to("elsewhere")
    assert not errors(plan("linked", "m.png", "there", existing="overwrite"))


def test_folders_are_not_followed_by_links(here):
    touch("in/a.png", "m.png")
    Path("in/loop").symlink_to("..")
    assert len(plan("in", "m.png", "out", recursive=True)) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("in", "no.png", "out"), "mask 'no.png' does not exist"),
        (("empty", "m.png", "out"), "image 'empty' holds no pictures; --recursive"),
        (("no/*.png", "m.png", "out"), "image 'no/\\*.png' holds no pictures"),
        (("in", "m.png", "m.png"), "output folder 'm.png' is a file"),
        (("in", "m.png", "no/where/out"), "does not exist"),
        (("in/a.png", "m.png", "in"), "output must be a file, as image is one"),
        (("in/a.png", "m.png", "out.unknown"), "must end in a picture format's name"),
        (("in/a.png", "m.png", "out"), "must end in a picture format's name"),
    ],
)
def test_what_is_wrong_with_all_is_a_sentence(here, arguments, said):
    touch("in/a.png", "m.png")
    Path("empty/below").mkdir(parents=True)
    with pytest.raises(ValueError, match=said):
        plan(*arguments)


def test_a_single_picture_that_is_not_there_is_left_to_reading(here):
    touch("m.png")
    assert paths(plan("no.png", "m.png", "out.png")) == [("no.png", "m.png", "out.png")]
