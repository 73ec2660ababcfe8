"""Networks that generate windows of returns of several assets: a recurrent variational autoencoder, and a GAN.

Both emit the volatility path, the correlation and the kind of shock, and sample the shock, because the mean of a decoder has
neither heavy tails nor clusters of volatility.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Number of sizes of the shock that all assets share.
N_SHOCKS = 3
# Largest absolute log scale; without a bound a path may explode.
MOST_LOG_SCALE = 4.0
LOWEST_DOF = 2.1
# Largest absolute mean of a step, in units of its scale. A larger bound lets the mean fit the reversals of single training hours,
# and the sums over a path become too small: a day's volatility was 8 % too low, but within 1 % with 0.1, at equal validation loss.
MOST_DRIFT = 0.1


def correlation_factor(raw: Tensor, n_assets: int) -> Tensor:
    """Lower triangular factors of correlation matrices from real numbers: (n, a (a + 1) / 2) to (n, a, a), with rows of norm 1."""
    rows, cols = torch.tril_indices(n_assets, n_assets, device=raw.device)
    lower = raw.new_zeros((len(raw), n_assets, n_assets))
    lower[:, rows, cols] = torch.where(rows == cols, functional.softplus(raw) + 0.05, raw)
    return functional.normalize(lower, dim=2)


def bounded(log_scale: Tensor) -> Tensor:
    return MOST_LOG_SCALE * torch.tanh(log_scale / MOST_LOG_SCALE)


class PathVAE(nn.Module):
    """Encoder of a window to a code; decoder from the code, step by step, to the law of the next returns given the earlier ones.

    With z the code and h_t the state of a GRU over the returns before t, started from z::

        x_t = mean(h_t, z) + exp(s(h_t, z)) * L(z) c_k e_t,   e_t,i ~ Student t of nu_i,   k ~ softmax(w(h_t, z))

    L(z) is a factor of the window's correlation matrix and c_k one of three sizes of shock that all assets share, so that they can
    jump together; each e_t,i has its own tail.
    """

    n_uniform = 0

    def __init__(self, n_steps: int, n_assets: int, n_context: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.n_steps, self.n_assets, self.latent = n_steps, n_assets, latent
        self.n_normal = latent
        n_inputs = 2 * n_steps * n_assets + n_context
        self.encoder = nn.Sequential(nn.Linear(n_inputs, 4 * hidden), nn.SiLU(), nn.Linear(4 * hidden, 2 * hidden), nn.SiLU())
        self.code = nn.Linear(2 * hidden, 2 * latent)
        self.start = nn.Linear(latent + n_context, hidden)
        self.gru = nn.GRU(2 * n_assets, hidden, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(hidden + latent + n_context, hidden), nn.SiLU(), nn.Linear(hidden, 2 * n_assets + N_SHOCKS)
        )
        self.together = nn.Linear(latent + n_context, n_assets * (n_assets + 1) // 2)
        self.log_dof = nn.Parameter(torch.full((n_assets,), 1.5))
        self.log_shock = nn.Parameter(torch.tensor([0.0, 0.7, 1.4]))

    def encode(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the code, shape (n, latent) each."""
        code = self.code(self.encoder(torch.cat([_seen(x).flatten(1), context], dim=1)))
        mean, log_variance = code.chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 4)

    def loss(self, x: Tensor, context: Tensor, normal: Tensor, beta: float) -> Tensor:
        """Negative evidence lower bound per return, with the divergence weighted by ``beta``."""
        mean, log_variance = self.encode(x, context)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
        code = mean + torch.exp(log_variance / 2) * normal
        return (beta * divergence - self.log_likelihood(x, code, context)).mean() / (self.n_steps * self.n_assets)

    def log_likelihood(self, x: Tensor, code: Tensor, context: Tensor) -> Tensor:
        """Log density of paths given their codes, (n,)."""
        z = torch.cat([code, context], dim=1)
        before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
        states, _ = self.gru(_seen(before), torch.tanh(self.start(z))[None])
        location, log_scale, weights = self._law(states, z)
        factor = correlation_factor(self.together(z), self.n_assets)
        unit = ((x - location) * torch.exp(-log_scale)).transpose(1, 2)
        shocks = torch.linalg.solve_triangular(factor, unit, upper=False).transpose(1, 2)
        volume = log_scale.sum(dim=(1, 2)) + self.n_steps * torch.log(torch.diagonal(factor, dim1=1, dim2=2)).sum(dim=1)
        law = torch.distributions.StudentT(self._dof())
        parts = [law.log_prob(shocks / c.exp()).sum(dim=2) - self.n_assets * c for c in self._log_shocks()]
        return torch.logsumexp(torch.stack(parts, dim=2) + functional.log_softmax(weights, dim=2), dim=2).sum(dim=1) - volume

    def sample(self, code: Tensor, context: Tensor, generator: torch.Generator) -> Tensor:
        """Paths from codes, (n, n_steps, n_assets); every random number comes from the generator."""
        z = torch.cat([code, context], dim=1)
        factor = correlation_factor(self.together(z), self.n_assets)
        state, x = torch.tanh(self.start(z))[None], code.new_zeros((len(code), 1, self.n_assets))
        path = []
        for _ in range(self.n_steps):
            states, state = self.gru(_seen(x), state)
            location, log_scale, weights = self._law(states, z)
            kind = torch.multinomial(functional.softmax(weights[:, 0], dim=1), 1, generator=generator)[:, 0]
            shock = self._student(len(code), generator) * torch.exp(self._log_shocks()[kind])[:, None]
            together = (factor @ shock[:, :, None])[:, :, 0]
            x = location + torch.exp(log_scale) * together[:, None]
            path.append(x)
        return torch.cat(path, dim=1)

    def _law(self, states: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.head(torch.cat([states, z[:, None].expand(-1, states.shape[1], -1)], dim=2))
        location, log_scale, weights = out.split([self.n_assets, self.n_assets, N_SHOCKS], dim=2)
        log_scale = bounded(log_scale)
        return MOST_DRIFT * torch.tanh(location) * torch.exp(log_scale), log_scale, weights

    def _log_shocks(self) -> Tensor:
        """Log sizes of the common shock; the first size is 1, because the scale of each asset is already a free parameter."""
        return self.log_shock - self.log_shock[0]

    def _dof(self) -> Tensor:
        return LOWEST_DOF + torch.exp(self.log_dof)

    def _student(self, n: int, generator: torch.Generator) -> Tensor:
        """Student t shocks, a normal over the root of a gamma variable of mean 1, shape (n, n_assets)."""
        half = (self._dof() / 2).expand(n, -1)
        gamma = torch._standard_gamma(half, generator) / half  # pyright: ignore[reportPrivateImportUsage] - the public ones take no generator
        return torch.randn((n, self.n_assets), generator=generator) / torch.sqrt(gamma)


def _seen(x: Tensor) -> Tensor:
    """The input that networks get for returns: compressed returns with their sign, and the log of their size."""
    return torch.cat([torch.asinh(x), torch.log(x**2 + 0.05)], dim=-1)
