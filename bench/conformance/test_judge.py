"""That the judge tells what is fine from what is not: a judge that passes everything proves nothing."""
import io
import unittest

from http1 import judge, llhttp, recorder
from http1.case import Case, Wanted
from verdict import FAILED, LAXER, OTHER, PASSED, STRICTER, Known, Result, explain


def seen(text):
    one, reading = recorder.Seen(), io.BytesIO(text)
    recorder.head(one, reading.readline(), reading)
    one.is_whole = recorder.body(one, reading)
    return one


PLAIN = b"GET /a HTTP/1.1\r\nhost: x\r\nx-own: 1\r\n\r\n"
WANTED = Wanted("GET", "/a", [("host", "x"), ("x-own", "1")], b"")


def verdict(case, statuses, *texts, is_closed=True):
    return judge.judge(case, judge.Outcome(statuses, is_closed, [seen(text) for text in texts]))[0]


class Judging(unittest.TestCase):
    def test_what_arrives_as_it_was_meant_passes(self):
        self.assertEqual(verdict(Case("s", "n", b"", [WANTED]), [200], PLAIN), PASSED)

    def test_what_arrives_with_another_meaning_does_not(self):
        for text in (b"POST /a HTTP/1.1\r\nhost: x\r\nx-own: 1\r\n\r\n", b"GET /b HTTP/1.1\r\nhost: x\r\nx-own: 1\r\n\r\n",
                     b"GET /a HTTP/1.1\r\nhost: x\r\nx-own: 2\r\n\r\n", b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n",
                     PLAIN[:-2] + b"x-more: 1\r\n\r\n", PLAIN[:-2] + b"content-length: 1\r\n\r\nx"):
            self.assertEqual(verdict(Case("s", "n", b"", [WANTED]), [200], text), OTHER, text)

    def test_what_two_readers_could_read_in_two_ways_fails_always(self):
        for text in (b"GET /a HTTP/1.1\nhost: x\r\n\r\n", PLAIN[:-2] + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
                     PLAIN[:-2] + b"a : b\r\n\r\n", PLAIN[:-2] + b"host: y\r\n\r\n", b"GET /\xc3 HTTP/1.1\r\nhost: x\r\n\r\n",
                     PLAIN[:-2] + b"a: b\r\n c\r\n\r\n", PLAIN[:-2] + b"transfer-encoding: gzip\r\n\r\n",
                     PLAIN[:-2] + b"transfer-encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n\r\n",
                     PLAIN[:-2] + b"transfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 1\r\n\r\n"):
            self.assertEqual(verdict(Case("s", "n", b"", [WANTED], "error"), [200], text), FAILED, text)

    def test_a_refusal_is_wanted_where_the_suite_refuses(self):
        wrong = Case("s", "n", b"", [], "error")
        self.assertEqual(verdict(wrong, [400]), PASSED)
        self.assertEqual(verdict(wrong, [], is_closed=False), PASSED)
        self.assertEqual(verdict(wrong, [200], PLAIN), LAXER)
        self.assertEqual(verdict(wrong, [502]), FAILED)
        self.assertEqual(verdict(Case("s", "n", b"", [WANTED]), [400]), STRICTER)

    def test_a_deviation_needs_its_reason_and_a_reason_its_deviation(self):
        results = [Result("s", "one", LAXER), Result("s", "two", LAXER)]
        unused = explain(results, [Known("s", "one", LAXER, "why"), Known("s", "three", LAXER, "why")])
        self.assertEqual([result.is_fine for result in results], [True, False])
        self.assertEqual([row.names for row in unused], ["three"])

    def test_a_host_is_added_to_heads_and_never_to_bodies(self):
        data = b"POST /a HTTP/1.1\r\nContent-Length: 20\r\n\r\nGET /b HTTP/1.1\r\nx\r\nGET /c HTTP/1.1\r\n\r\n"
        added = b"Host: added.example\r\n"
        self.assertEqual(Case("s", "n", data, []).hosted(), data.replace(b"/a HTTP/1.1\r\n", b"/a HTTP/1.1\r\n" + added)
                         .replace(b"/c HTTP/1.1\r\n", b"/c HTTP/1.1\r\n" + added))

    def test_escapes_of_the_suites_are_undone(self):
        self.assertEqual(llhttp.unescaped("GET /\\\n\\x41\\t\nA: b\\r\n"), b"GET /A\t\r\nA: b\r\r\n")


if __name__ == "__main__":
    unittest.main()
