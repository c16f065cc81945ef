"""Which cases of a cohort are flagged, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from AttentionSegLib.batch.flags import case_uncertainty, flags_of
from AttentionSegLib.batch.manifest import Entry


def entry(case: str, milliliters: float = 10.0, uncertainty: float = 0.2, components: int = 1, other_voxels: int = 100) -> Entry:
    liver = {"value": 1, "name": "liver", "voxels": 300, "milliliters": milliliters, "mean_uncertainty": uncertainty, "components": components}
    cyst = {
        "value": 2,
        "name": "cyst",
        "voxels": other_voxels,
        "milliliters": 1.0,
        "mean_uncertainty": 0.4 if other_voxels else None,
        "components": 1,
    }
    return Entry(case, "done", [], "s", "h", "m", "w", {}, labels=[liver, cyst])


def cohort(count: int = 40) -> list[Entry]:
    """Volumes and uncertainties a little apart."""
    return [entry(f"c{n}", 10 + 0.1 * n, 0.2 + 0.001 * n) for n in range(count)]


class TestFlags:
    def test_a_missing_label_and_several_components(self):
        found = flags_of([entry("a", other_voxels=0), entry("b", components=3), entry("c")])
        assert found == {"a": ["cyst missing"], "b": ["liver in 3 components"], "c": []}

    def test_a_scan_of_another_kind(self):
        odd = replace(entry("a", components=3), misfits=["a looks like CT; the model was trained on MR."])
        assert flags_of([odd, entry("b")]) == {"a": [*odd.misfits, "liver in 3 components"], "b": []}

    def test_a_scan_that_has_gone(self):
        assert flags_of([entry("a"), entry("b")], {"b"}) == {"a": [], "b": ["the last run did not find its scan"]}

    def test_volumes_outside_the_1st_to_99th_percentile(self):
        found = flags_of([*cohort(), entry("small", 5), entry("large", 30)])
        assert [case for case, flags in found.items() if flags] == ["small", "large"]
        assert found["small"] == ["liver 5 mL, outside 7.05 to 23.4 mL (1st to 99th percentile)"]

    def test_an_uncertainty_beyond_the_fence(self):
        found = flags_of([*cohort(), entry("unsure", 12, 0.6)])
        assert found["unsure"] == ["uncertainty 0.550, above 0.295"]
        assert [case for case, flags in found.items() if flags and case != "unsure"] == ["c0", "c39"]

    def test_a_few_cases_are_no_cohort(self):
        assert not any(flags_of([*cohort(10), entry("odd", 90, 0.9)]).values())


def test_the_uncertainty_of_a_case_is_that_of_its_labeled_voxels():
    assert case_uncertainty(entry("a")) == pytest.approx((300 * 0.2 + 100 * 0.4) / 400)
    assert case_uncertainty(entry("a", other_voxels=0)) == pytest.approx(0.2)
    assert case_uncertainty(Entry("f", "failed", [], None, None, "m", "w", {}, error="Why.")) is None
