"""Fraud among card transactions: the anomaly scores of pictures, carried over to a table.

A small autoencoder of the package's blocks learns normal transactions with the loss of the codec:
what the rounded latents cost, and how far the reconstruction is off. A transaction that comes back
more changed than normal ones, in the units in which these change, is unusual. The transactions are
made up, with a seed. Every number of a fraud is usual by itself, but does not fit the others.

Run it with `python samples/fraud.py`; it takes some seconds and needs the extra `apps`.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from aecodec.autoencoder.layers import Block
from aecodec.autoencoder.quantization import lower_bound, quantize, quantize_noise

Table = NDArray[np.float32]

SEED = 20
NORMALS, TESTED, FRAUDS = 8000, 3000, 150
STEPS, BATCH, RATE = 400, 256, 1e-2
WIDTH, LATENTS = 24, 4
WEIGHT = 400.0
"""Bits that a squared error of one deviation is worth."""


def normal_transactions(count: int, rng: np.random.Generator) -> Table:
    """Transactions of customers who behave as ever, `(count, 9)`.

    Columns: logarithm of the amount, sine and cosine of the hour, logarithms of the distance from
    the last shop and of the hours since then, the customer's usual amount and what the kind of
    shop adds to it, how often the card was used of late, and whether the card was present.
    """
    wealth, kind = rng.normal(3.5, 0.8, count), rng.integers(0, 3, count)
    shop, opening = np.array([-0.5, 1.2, -1.5])[kind], np.array([9.0, 14.0, 20.0])[kind]
    amount = wealth + shop + rng.normal(0, 0.2, count)
    hour = opening + rng.normal(0, 1.2, count)
    present = (rng.random(count) < 0.7).astype(float)
    waited = np.exp(rng.normal(1.0, 1.0, count))
    reach = np.log(np.minimum(40 * waited, 150)) + rng.normal(0, 0.15, count)
    distance = np.where(present > 0, reach, 0.3 * wealth + rng.normal(0, 0.15, count))
    uses = np.log1p(8 / waited) + rng.normal(0, 0.1, count)
    angle = 2 * np.pi * hour / 24
    columns = [amount, np.sin(angle), np.cos(angle), distance, np.log(waited), wealth, shop, uses]
    return np.stack([*columns, present], axis=1).astype(np.float32)


def frauds(count: int, rng: np.random.Generator) -> Table:
    """Transactions some of whose numbers are those of another one, so that they do not fit."""
    table, others = normal_transactions(count, rng), normal_transactions(count, rng)
    for row, (own, other) in enumerate(zip(table, others, strict=True)):
        taken = ([0], [1, 2], [3], [4], [0, 3])[row % 5]
        own[taken] = other[taken]
    return table


class TableAutoencoder(nn.Module):
    """Rows of a table as pictures of one place, whose channels are the columns."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.analysis = nn.Sequential(
            nn.Conv2d(columns, WIDTH, 1), Block(WIDTH), Block(WIDTH), nn.Conv2d(WIDTH, LATENTS, 1)
        )
        self.synthesis = nn.Sequential(
            nn.Conv2d(LATENTS, WIDTH, 1), Block(WIDTH), Block(WIDTH), nn.Conv2d(WIDTH, columns, 1)
        )
        self.log_scale = nn.Parameter(torch.zeros(LATENTS, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Bits of the latents `(n,)`, and rows `(n, columns)` as they come back."""
        y = 8 * self.analysis(x[:, :, None, None])
        y_hat = quantize_noise(y) if self.training else quantize(y)
        scale = self.log_scale.exp()
        high, low = (torch.special.ndtr((y_hat + half) / scale) for half in (0.5, -0.5))
        bits = -lower_bound(high - low, 1e-9).log2().sum((1, 2, 3))
        return bits, self.synthesis(y_hat / 8)[:, :, 0, 0]


def train(table: Tensor) -> TableAutoencoder:
    """Learns normal rows."""
    torch.manual_seed(SEED)
    model = TableAutoencoder(table.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        rows = table[torch.randint(len(table), (BATCH,))]
        bits, again = model(rows)
        optimizer.zero_grad()
        (bits.mean() + WEIGHT * (again - rows).square().mean()).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def distances(known: Table, asked: Table) -> NDArray[np.float64]:
    """Mahalanobis distances of what is asked for from zero, by the covariance of what is known."""
    inverse = np.linalg.inv(np.cov(known.T) + 1e-4 * np.eye(known.shape[1]))
    found: NDArray[np.float64] = ((asked @ inverse) * asked).sum(1)
    return found


def main() -> None:
    """Trains, scores and prints the areas under the ROC curve."""
    rng = np.random.default_rng(SEED)
    normal = normal_transactions(NORMALS, rng)
    tested = np.concatenate([normal_transactions(TESTED, rng), frauds(FRAUDS, rng)])
    is_fraud = np.arange(len(tested)) >= TESTED
    mean, deviation = normal.mean(0), normal.std(0)
    known, asked = ((each - mean) / deviation for each in (normal, tested))

    model = train(torch.from_numpy(known))
    with torch.no_grad():
        changes = [(model(torch.from_numpy(each))[1].numpy() - each) for each in (known, asked)]
    scores = {"autoencoder": distances(*changes)}
    forest = IsolationForest(random_state=0).fit(known)
    scores["isolation forest"] = -forest.score_samples(asked)
    pca = PCA(LATENTS + 1).fit(known)
    changes = [pca.inverse_transform(pca.transform(each)) - each for each in (known, asked)]
    scores["PCA"] = distances(*changes)

    threshold = np.quantile(scores["autoencoder"][~is_fraud], 0.99)
    found = float((scores["autoencoder"][is_fraud] > threshold).mean())
    for name, values in scores.items():
        print(f"{name}: AUROC {roc_auc_score(is_fraud, values):.3f}")
    print(f"the autoencoder finds {found:.0%} of the frauds with 1 % false alarms")


if __name__ == "__main__":
    main()
