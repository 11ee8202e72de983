"""A short run of the fuzzer over the command line; `tests/fuzz_commands.py` makes long ones."""

import pytest
from fuzz_commands import Findings, fuzzing

COUNT, SECONDS_EACH = 150, 20.0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_odd_commands_end_well() -> None:
    findings = Findings()
    with fuzzing(seed=5) as fuzzer:
        for number in range(COUNT):
            fuzzer.run(number, findings, SECONDS_EACH)
    assert findings.faults == []
    assert {0, 1, 2} <= set(findings.codes)
