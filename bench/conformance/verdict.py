"""What became of one case, and the table of what is known to be otherwise."""
import dataclasses
import fnmatch

# Stricter and laxer than the case wants; otherwise: as strict, in another way.
PASSED, FAILED, STRICTER, LAXER, OTHER = "passed", "failed", "stricter", "laxer", "otherwise"
DEVIATIONS = (STRICTER, LAXER, OTHER)


@dataclasses.dataclass
class Result:
    suite: str
    name: str
    verdict: str
    # What was seen, where it is not what was wanted.
    seen: str = ""
    reason: str = ""

    @property
    def is_known(self):
        return self.verdict in DEVIATIONS and bool(self.reason)

    @property
    def is_fine(self):
        return self.verdict == PASSED or self.is_known


@dataclasses.dataclass
class Known:
    """A deviation that has a reason; `names` is a pattern."""
    suite: str
    names: str
    verdict: str
    reason: str
    used: int = 0

    def fits(self, result):
        return (self.suite, self.verdict) == (result.suite, result.verdict) and fnmatch.fnmatchcase(
            result.name, self.names)


def explain(results, known):
    """Gives deviations their reasons; returns the rows of the table that nothing needs any more."""
    for result in results:
        for row in known:
            if result.verdict in DEVIATIONS and row.fits(result):
                result.reason = row.reason
                row.used += 1
                break
    ran = {result.suite for result in results}
    return [row for row in known if row.suite in ran and not row.used]


def counts(results):
    """Passed, known deviations, failed."""
    passed = sum(result.verdict == PASSED for result in results)
    known = sum(result.is_known for result in results)
    return passed, known, len(results) - passed - known
