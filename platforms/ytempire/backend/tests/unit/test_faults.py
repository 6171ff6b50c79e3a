import pytest

from app import faults


def test_no_fault_is_the_rule():
    assert faults.parse("") == ("", 0.0)


def test_a_fault_may_carry_a_number():
    assert faults.parse("slow-start=20") == ("slow-start", 20.0)
    assert faults.parse("never-ready") == ("never-ready", 0.0)


def test_an_unknown_fault_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="never-ready"):
        faults.parse("explode")
