"""That a leak is seen, and that a level load is none."""
import unittest

from sample import Counted, Sample
from verdict import rows


def sample(requests, **more):
    plain = dict(seconds=requests / 1000, requests=requests, rss_kb=20000, pss_kb=20000, files=100, threads=4,
                 tasks=50, connections=80, in_flight=10, websockets=2, draining=0)
    return Sample(**{**plain, **more})


IDLE = sample(0, connections=0, in_flight=0, websockets=0, files=20, tasks=10)


def missed(under, after):
    return {row.name for row in rows(IDLE, under, after, 100_000) if not row.met}


class Verdicts(unittest.TestCase):
    def test_a_level_load_that_comes_to_rest_has_no_leak(self):
        under = [sample(n * 10_000, pss_kb=20000 + n % 3 * 500, files=100 + n % 5) for n in range(100)]
        self.assertEqual(missed(under, IDLE), set())

    def test_memory_that_grows_with_the_requests_is_seen(self):
        under = [sample(n * 10_000, pss_kb=20000 + n * 100) for n in range(100)]
        self.assertEqual(missed(under, IDLE), {"pss growth"})

    def test_files_and_tasks_that_stay_are_seen(self):
        under = [sample(n * 10_000, files=100 + n, tasks=50 + n) for n in range(100)]
        after = sample(1_000_000, connections=0, in_flight=0, websockets=0, files=119, tasks=109)
        self.assertEqual(missed(under, after), {"files growth", "tasks growth", "files left at rest",
                                                "tasks left at rest"})

    def test_too_few_requests_prove_nothing(self):
        under = [sample(n * 10) for n in range(100)]
        self.assertEqual(missed(under, IDLE), {"requests"})


class CountedTest(unittest.TestCase):
    def test_requests_of_a_release_that_is_gone_stay_counted(self):
        def of(**releases):
            series = {f'mainstay_edge_requests_total{{release="{name}"}}': count for name, count in releases.items()}
            return {**series, "mainstay_edge_tasks": 900.0}
        counted = Counted()
        self.assertEqual([counted.add(of(r1=10)), counted.add(of(r1=30, r2=5)), counted.add(of(r2=7))], [10, 35, 37])


if __name__ == "__main__":
    unittest.main()
