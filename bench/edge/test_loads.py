"""What is read out of the load tools' output. `python3 -m unittest discover bench/edge`"""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import loads
from lab import Broken

WRK = """Running 2s test @ http://127.0.0.1:8080/1k
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.90ms    6.57ms  32.45ms   99.50%
    Req/Sec     4.08k     5.73k   19.99k    50.00%
  Latency Distribution
     50%  499.00us
     75%    7.96ms
     90%   14.55ms
     99%    1.02s
  4110 requests in 2.02s, 1.21MB read
{errors}Requests/sec:   4031.26
Transfer/sec:      1.18MB
"""

H2LOAD = """starting benchmark...
progress: 100% of clients started

finished in 2.03s, 1971.90 req/s, 2.38MB/s
requests: 4000 total, 4000 started, 3999 done, {succeeded} succeeded, {failed} failed, 1 errored, 0 timeout
status codes: {good} 2xx, 0 3xx, 0 4xx, 5 5xx
traffic: 4.82MB (5056000) total, 738.28KB (756000) headers (space savings 0.00%), 3.91MB (4096000) data
                     min         max         mean         sd        +/- sd
time for request:       53us     12.10ms       711us       989us    92.35%
"""

S_TIME = """Collecting connection statistics for 2 seconds
{marks}

{count} connections in 0.66s; 868.18 connections/user sec, bytes read 721407
{count} connections in 3 real seconds, {size} bytes read per connection
"""


class Wrk(unittest.TestCase):
    def test_requests_seconds_and_shares_are_read(self):
        load = loads.parse_wrk(WRK.format(errors=""))
        self.assertEqual((load.requests, load.failed, load.seconds), (4110, 0, 2.02))
        self.assertEqual((load.p50, load.p99), (0.499, 1020))

    def test_every_kind_of_failure_counts(self):
        errors = "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n"
        self.assertEqual(loads.parse_wrk(WRK.format(errors=errors)).failed, 54321)

    def test_an_output_without_figures_is_refused_with_what_it_said(self):
        with self.assertRaisesRegex(Broken, "unable to connect"):
            loads.parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


class H2load(unittest.TestCase):
    def test_an_answer_that_is_no_2xx_is_a_failure(self):
        load = loads.parse_h2load(H2LOAD.format(succeeded=3998, failed=0, good=3993))
        self.assertEqual((load.requests, load.failed, load.seconds), (3993, 1 + 5, 2.03))

    def test_what_it_calls_failed_and_answered_5xx_is_counted_once(self):
        load = loads.parse_h2load(H2LOAD.format(succeeded=3993, failed=5, good=3993))
        self.assertEqual((load.requests, load.failed), (3993, 6))

    def test_an_output_without_figures_is_refused(self):
        with self.assertRaises(Broken):
            loads.parse_h2load("")


class Log(unittest.TestCase):
    def test_the_first_second_is_left_out_and_shares_are_of_good_answers(self):
        warm = "".join(f"{1_000_000 + n}\t200\t90000\n" for n in range(50))
        rest = "".join(f"{2_100_000 + n * 10_000}\t200\t{(n + 1) * 1000}\n" for n in range(100))
        load = loads.parse_log(warm + rest + "3200000\t503\t5\n", 1)
        self.assertEqual((load.requests, load.failed), (100, 1))
        self.assertEqual((load.p50, load.p99), (51.0, 100.0))
        self.assertAlmostEqual(load.rate, 101 / 1.1)

    def test_a_log_without_a_good_answer_is_refused(self):
        with self.assertRaises(Broken):
            loads.parse_log("1000000\t-1\t5\n", 0)


class SecureTime(unittest.TestCase):
    def test_full_handshakes_are_counted(self):
        self.assertEqual(loads.parse_s_time(S_TIME.format(marks="*" * 573, count=573, size=1259)), 573)

    def test_one_resumed_session_is_refused(self):
        with self.assertRaisesRegex(Broken, "1 of 573 TLS connections resumed"):
            loads.parse_s_time(S_TIME.format(marks="*" * 572 + "r", count=573, size=1259))

    def test_an_answer_too_short_to_be_the_file_is_refused(self):
        with self.assertRaisesRegex(Broken, "309 bytes"):
            loads.parse_s_time(S_TIME.format(marks="***", count=3, size=309))


if __name__ == "__main__":
    unittest.main()
