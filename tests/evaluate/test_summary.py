"""Means, bins and tables of rows made by hand; the folder that holds them."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from gica_ops.evaluate.driver import Results, Row, Shown
from gica_ops.evaluate.output import check_new, new_folder, write_filled
from gica_ops.evaluate.sheet import CELL, LINE, Sheet
from gica_ops.evaluate.summary import scores_csv, summarise, summary_markdown


def row(picture: str, method: str, share: float, psnr: float | None, error: str | None = None):
    scores = {"hole_psnr": psnr, "hole_l1": 0.25, "hole_ssim": None} if error is None else {}
    return Row(picture, method, 20, 30, share, int(share * 10), scores, 0.5, error)


@pytest.fixture
def results() -> Results:
    rows = [
        row("a", "one", 0.05, 20.0), row("a", "two", 0.05, 10.0),
        row("b", "one", 0.06, 30.0), row("b", "two", 0.06, None, "burst | open"),
        row("c", "one", 0.35, math.inf), row("c", "two", 0.35, 12.0),
    ]  # fmt: skip
    return Results(rows, {"d": "is broken"}, {"one": 3.25, "two": None})


def test_means_leave_out_infinite_and_failed(results):
    summary = summarise(results)
    one, two = summary["methods"]["one"], summary["methods"]["two"]
    psnr = {"mean": 25.0, "std": pytest.approx(50**0.5), "count": 2, "infinite": 1}
    assert one["all"]["hole_psnr"] == psnr
    assert one["bins"]["0-10 %"]["hole_psnr"] == psnr | {"infinite": 0}
    assert one["bins"]["30-40 %"]["hole_psnr"] == {
        "mean": None, "std": None, "count": 0, "infinite": 1,
    }  # fmt: skip
    assert list(one["bins"]) == ["0-10 %", "30-40 %"]
    assert two["pictures"] == 2 and two["errors"] == {"b": "burst | open"}
    assert two["all"]["hole_psnr"]["mean"] == 11 and two["all"]["hole_l1"]["std"] == 0
    assert "hole_ssim" not in one["all"]  # nobody has a value
    assert (one["fid"], two["fid"]) == (3.25, None)
    assert summary["broken"] == {"d": "is broken"} and summary["pictures"] == 3
    json.dumps(summary, allow_nan=False)


def test_csv_is_tidy(results):
    rows = list(csv.DictReader(io.StringIO(scores_csv(results))))
    assert [(r["picture"], r["method"]) for r in rows] == [
        (r.picture, r.method) for r in results.rows
    ]
    assert float(rows[0]["hole_psnr"]) == 20 and rows[0]["hole_ssim"] == ""
    assert rows[3]["error"] == "burst | open" and rows[3]["hole_psnr"] == ""
    assert float(rows[4]["hole_psnr"]) == math.inf
    assert rows[4]["bin"] == "30-40 %" and float(rows[4]["share"]) == 0.35


def test_markdown_has_a_table_by_method_and_one_by_bin(results):
    lines = summary_markdown(summarise(results)).splitlines()
    assert lines[0] == ("| method | pictures | hole L1 % | hole PSNR dB | FID | s / picture |")
    assert lines[2] == "| one | 3 | 25.00 | 25.00 | 3.25 | 0.500 |"
    assert lines[3] == "| two | 2 | 25.00 | 11.00 |  | 0.500 |"
    assert "| 30-40 % | one | 1 | 25.00 | inf |" in lines
    assert any("summary.json says why" in line for line in lines)
    few = summary_markdown(summarise(Results(results.rows[:1])))
    assert few.count("| method |") == 1 and "FID" not in few


def test_sheet_is_bounded_and_marks_the_hole():
    truth = np.full((400, 200, 3), 9, np.uint8)
    hole = np.zeros((400, 200), bool)
    hole[:200] = True  # the upper half
    sheet = Sheet(["good", "a label far too long for the width of a single cell"], most=2)
    for name in ("a", "b", "c"):
        rows = [row(name, "good", 0.5, 20.0), row(name, "other", 0.5, None, "failed")]
        sheet.add(Shown(name, truth, hole, {"good": truth}, rows))
    drawn = np.asarray(sheet.draw())
    assert drawn.shape[0] < 2 * (CELL + 3 * LINE) and drawn.shape[1] < 4 * (CELL + 8)
    pink = np.argwhere((drawn == (255, 0, 255)).all(2))
    assert 4 * len(pink) == pytest.approx(2 * CELL * CELL, rel=0.05)  # half of two, 1 to 2 in shape
    first = pink[pink[:, 0] < CELL]
    assert first[:, 0].min() < 2 * LINE and first[:, 0].max() < 2 * LINE + CELL / 2


def test_sheet_draws_names_of_any_script():
    picture = np.zeros((8, 8, 3), np.uint8)
    sheet = Sheet(["köln"])
    rows = [row("写真.png", "köln", 0.1, 9.0)]
    sheet.add(Shown("写真.png", picture, np.eye(8, dtype=bool), {"köln": picture}, rows))
    assert isinstance(sheet.draw(), Image.Image)


def test_filled_pictures_have_files_of_their_own(tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    methods = {"network:a/b": picture, "network:a_b": picture, "..": picture}
    for name in ("x/y.png", "x_y.png", "y.jpg"):
        write_filled(tmp_path / "out", Shown(name, picture, np.eye(8, dtype=bool), methods, []))
    assert len(list((tmp_path / "out").rglob("*.png"))) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyError), new_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("")
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "whole").write_text("")
        assert list((tmp_path / "out").iterdir()) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "whole"]


def test_a_place_that_is_taken_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for path, said in ((tmp_path, "holds files"), (tmp_path / "file", "is a file")):
        with pytest.raises(ValueError, match=said):
            check_new(path)
    with pytest.raises(ValueError, match="does not exist"):
        check_new(tmp_path / "no" / "where")
