"""Tables of the residual layer fit the errors that were observed."""

import numpy as np

from aecodec.coding.residual_tables import make_tables
from aecodec.export.residual_tables import (
    build_stored,
    fit_mixtures,
    logistic_tables,
    neutral_priors,
)


def test_tables_fit_what_was_observed() -> None:
    observed = np.zeros((48, 8193), np.int64)
    observed[10, 4096 - 400 : 4096 + 401] = 1000  # as flat as a mixture can be
    mixtures = fit_mixtures(observed)
    assert mixtures[10, -1] > 0.9
    assert mixtures[11].argmax() == logistic_tables()[11].argmax()
    tables = make_tables(build_stored(mixtures, neutral_priors()))
    assert len(tables.thresholds) == 47
    shares = [table.counts / 2**24 for table in tables.symbols[4 * 10 : 4 * 12 : 4]]
    assert shares[0].max() < 0.5 * shares[1].max()  # level 11 was never seen, and is narrow
