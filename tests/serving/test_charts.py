"""Charts as coordinates: where a value lies, what is left out, and when there is nothing to draw."""

from datetime import date

from serving.desk.charts import LABELS, LEFT, RIGHT, TOP, VALUES, WIDTH, draw_bars, draw_lines, draw_triangle

FIRST, MIDDLE, LAST = date(2024, 1, 1), date(2024, 1, 11), date(2024, 1, 21)


def test_a_line_reaches_from_the_first_day_to_the_last_and_leaves_unknown_days_out() -> None:
    chart = draw_lines({"score": [(FIRST, 0.0), (MIDDLE, None), (LAST, 100.0)]}, bounds=(0, 100))
    assert chart is not None
    ((first_x, first_y), (last_x, last_y)) = chart.lines[0].dots
    assert (first_x, last_x, last_y) == (LEFT, WIDTH - RIGHT, TOP)
    assert first_y > last_y
    assert (chart.first, chart.last) == (FIRST, LAST)


def test_marks_lie_between_the_days_of_the_line_and_others_are_left_out() -> None:
    events = [(MIDDLE, "alert", "one"), (date(2023, 1, 1), "alert", "too early")]
    chart = draw_lines({"score": [(FIRST, 1.0), (LAST, 2.0)]}, events=events)
    assert chart is not None
    assert chart.events == (((LEFT + WIDTH - RIGHT) / 2, "alert", "one"),)


def test_a_band_lies_around_its_line_and_within_the_picture() -> None:
    band = {"score": [(FIRST, -5.0, 5.0), (LAST, -1.0, None)]}
    chart = draw_lines({"score": [(FIRST, 0.0), (LAST, 1.0)]}, bands=band)
    assert chart is not None
    heights = [float(point.split(",")[1]) for point in chart.lines[0].band.split()]
    assert heights[0] < chart.lines[0].dots[0][1] < heights[1]


def test_one_day_and_no_value_make_no_chart() -> None:
    assert draw_lines({"score": [(FIRST, 1.0)]}) is None
    assert draw_lines({"score": [(FIRST, None), (LAST, None)]}) is None
    assert draw_bars([("nothing known", None, None, None)]) is None


def test_bars_grow_from_zero_to_either_side_and_leave_room_for_their_values() -> None:
    chart = draw_bars([("saved", 30.0, 10.0, 40.0), ("lost", -10.0, None, None), ("unknown", None, None, None)])
    assert chart is not None
    saved, lost = chart.bars
    assert (saved.x, lost.x + lost.width) == (chart.zero, chart.zero)
    assert saved.width == 3 * lost.width
    assert (lost.x, saved.high) == (LABELS, WIDTH - VALUES)


def test_a_triangle_has_no_field_for_what_is_not_known_and_keeps_the_row_of_a_small_cohort() -> None:
    chart = draw_triangle([("2024-01", {0: (1.0, "40 / 40"), 2: (0.49, "20 / 41")}), ("2024-02", {})])
    assert chart is not None
    assert [[(cell.shade, cell.text) for cell in cohort.cells] for cohort in chart.cohorts] == [
        [(9, "40 / 40"), (4, "20 / 41")],
        [],
    ]
    assert [month for month, _ in chart.months] == [0, 1, 2]
    assert chart.cohorts[0].cells[1].x == chart.months[2][1]


def test_a_line_over_months_has_its_points_by_their_number() -> None:
    chart = draw_lines({"share": [(0, 100.0), (1, 90.0), (4, 60.0)]}, bounds=(0, 100))
    assert chart is not None
    assert [x for x, _ in chart.lines[0].dots] == [LEFT, LEFT + (WIDTH - LEFT - RIGHT) / 4, WIDTH - RIGHT]
