"""Where the numbers of a cohort stand in a plot."""

from __future__ import annotations

import pytest
from AttentionSegLib.reporting.spread import LEFT, MOST_POINTS, RIGHT, Spread, spread
from tiny_models import make_card

LABEL = make_card().labels[0]
MIDDLE = (LEFT + RIGHT) / 2


def of(*numbers: float, ends: tuple[float, float] | None = None) -> Spread:
    return spread(LABEL, {f"case {n}": number for n, number in enumerate(numbers)}, "{:.1f} mL", ends)


class TestSpread:
    def test_numbers_stand_where_they_are_on_the_axis(self):
        found = of(0, 5, 10, ends=(0, 10))
        assert [point.x for point in found.points] == [LEFT, MIDDLE, RIGHT]
        assert [(point.case, point.value) for point in found.points][1] == ("case 1", "5.0 mL")

    def test_the_box_reaches_from_quartile_to_quartile_with_the_median(self):
        found = of(0, 1, 2, 3, 10, ends=(0, 10))
        assert found.quartiles == (0, 1, 2, 3, 10)
        assert found.box == tuple(LEFT + (RIGHT - LEFT) * share for share in (0.1, 0.2, 0.3))

    def test_without_ends_the_axis_holds_all_numbers_inside_of_it(self):
        places = [point.x for point in of(3, 4, 5).points]
        assert LEFT < places[0] < places[1] == MIDDLE < places[2] < RIGHT

    def test_equal_numbers_stand_in_the_middle_above_each_other(self):
        first, second = of(7, 7).points
        assert first.x == second.x == MIDDLE
        assert first.down != second.down

    def test_of_very_many_cases_those_far_out_are_points(self):
        found = of(*range(2 * MOST_POINTS))
        assert found.count == 2 * MOST_POINTS
        assert {point.case for point in found.points} == {f"case {n}" for n in [*range(10), *range(2 * MOST_POINTS - 10, 2 * MOST_POINTS)]}

    def test_no_number_is_no_point_and_no_box(self):
        assert of() == Spread(LABEL, 0)


@pytest.mark.parametrize("count", [1, 7, 30])
def test_points_stay_in_the_row(count):
    assert all(0 < point.down < 1 for point in of(*range(count)).points)
