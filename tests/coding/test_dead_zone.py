"""Rounding by cost: towards zero, never beyond the nearest, and cheaper where bits are dear."""

import numpy as np
import pytest

from aecodec.coding.ans import SymbolTable
from aecodec.coding.dead_zone import COST_STEP, COSTS, DeadZone, symbol_costs
from aecodec.decoder.prior_tables import PriorTables
from aecodec.models.registry import load_model, tuned_model

TABLES = [
    SymbolTable(-1, np.array([2**10, 2**24 - 2**11 - 16, 2**10, 16])),
    SymbolTable(-2, np.array([2**22, 2**22, 2**22, 2**21, 2**22 - 2**21])),
]


def test_costs_are_those_of_the_tables() -> None:
    costs = symbol_costs(TABLES)
    assert costs.shape == (2, COSTS + 1)
    assert costs[0, 0] == pytest.approx(TABLES[0].bits(np.zeros(1, np.int32))[0], abs=COST_STEP)
    assert costs[0, 1] == pytest.approx(14.0)
    assert costs[0, 2] == pytest.approx(TABLES[0].bits(np.full(1, 2, np.int32))[0])
    assert costs[1].tolist()[:3] == [2.0, 3.0, pytest.approx(19.0)]


def test_the_edge_lies_where_bits_saved_pay_for_the_error() -> None:
    weight = 50.0
    zone = DeadZone(symbol_costs(TABLES), weight)
    edge = 0.5 + (14.0 - symbol_costs(TABLES)[0, 0]) / (2 * weight)  # e**2 - (1 - e)**2 = 2e - 1
    values = np.array([edge - 1e-4, edge + 1e-4, -edge + 1e-4, -edge - 1e-4], np.float32)
    np.testing.assert_array_equal(zone(values, np.zeros(4, np.uint8)), [0, 1, 0, -1])


def test_symbols_lie_between_zero_and_the_nearest() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 8, 10_000).astype(np.float32)
    levels = rng.integers(0, 2, 10_000).astype(np.uint8)
    symbols = DeadZone(symbol_costs(TABLES), 8.0)(values, levels)
    nearest = np.round(values)
    assert (np.abs(symbols) <= np.abs(nearest)).all()
    assert (symbols * nearest >= 0).all()
    assert np.abs(symbols - values).max() < 1.2
    assert (symbols != nearest).mean() > 0.05


def test_endless_weight_is_plain_rounding() -> None:
    values = np.random.default_rng(2).normal(0, 30, 10_000).astype(np.float32)
    symbols = DeadZone(symbol_costs(TABLES), 1e9)(values, np.ones(10_000, np.uint8))
    np.testing.assert_array_equal(symbols, np.round(values))


def test_costs_do_not_hang_on_the_last_places_of_logarithms() -> None:
    tables = PriorTables(load_model(tuned_model().name).tensors["prior"]["tables"]).scale_tables
    symbols = np.arange(COSTS + 1, dtype=np.int32)
    steps = np.array([table.bits(symbols) for table in tables]) / COST_STEP
    assert np.abs(steps % 1 - 0.5).min() > 1e-7
