"""How runs become figures and verdicts."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import machine
import report
from cases import Target


def run(turn, rps, foreign=0.0):
    return {"round": turn, "rps": rps, "foreign": foreign}


class Ratios(unittest.TestCase):
    def test_a_ratio_is_made_within_a_round_and_a_round_without_both_makes_none(self):
        runs = {"edge": [run(0, 50), run(1, 300), run(2, 7)], "nginx": [run(1, 100), run(0, 100)]}
        self.assertEqual(report.ratios("edge", "nginx", "rps", runs), ([0.5, 3.0], 0))

    def test_a_round_is_noisy_when_either_was(self):
        runs = {"edge": [run(0, 1), run(1, 1, 0.31), run(2, 1)], "nginx": [run(0, 1), run(1, 1), run(2, 1, 0.9)]}
        self.assertEqual(report.ratios("edge", "nginx", "rps", runs)[1], 2)


class Rows(unittest.TestCase):
    def row(self, values, **bound):
        return report.make_row("x", "x", values, report.bound_of(Target("rps", "x", **bound)))

    def test_the_median_is_held_against_the_target_in_its_own_direction(self):
        self.assertTrue(self.row([0.2, 1.0, 1.5], at_least=1.0)["met"])
        self.assertFalse(self.row([0.2, 0.9, 1.5], at_least=1.0)["met"])
        self.assertTrue(self.row([0.2, 1.0, 1.5], at_most=1.0)["met"])
        self.assertFalse(self.row([0.2, 1.1, 1.5], at_most=1.0)["met"])

    def test_no_run_meets_no_target(self):
        self.assertIs(self.row([], at_most=0)["met"], False)
        self.assertIs(self.row([])["met"], None)

    def test_a_table_says_what_was_missed(self):
        shown = report.table([self.row([0.9], at_least=1.0)]).splitlines()[1]
        self.assertRegex(shown, r"^x\s+0\.90 x\s+>= 1 x\s+NO\s+1\s+0\s+0\.90 to 0\.90$")


class Foreign(unittest.TestCase):
    def test_busy_is_user_nice_system_and_stolen_time_and_no_interrupts(self):
        self.assertEqual(machine.busy_seconds("cpu  100 10 1 9999 9999 9999 9999 1000 0 0\n") * machine.TICK, 1111)


if __name__ == "__main__":
    unittest.main()
