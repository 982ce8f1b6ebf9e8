"""The networks: `Siamese`, with heights, and `Twin`, for colours alone.

`Siamese`: one encoder sees both dates, their features meet at three scales, a light decoder answers every fourth cell. About 0.3 M
parameters, batch norm throughout. Inputs are as in the sidecar: colours less mean over deviation, height difference
over 3 m within ±3, sigma in metres within 1 (1 also where unknown, so that "no surface" is 0 and 1 everywhere).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (24, 32, 48, 72)


def conv(inside: int, outside: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two separable convolutions round a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(width, width, groups=width),
            conv(width, width, 1),
            conv(width, width, groups=width),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return torch.relu(x + self.body(x))


class Siamese(nn.Module):
    """`(n, 3, h, w)` before and after, `(n, 2, h, w)` heights -> logits `(n, 1, h, w)`; h and w multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.stem = nn.Sequential(conv(3, a, 3, 2), conv(a, b, 3, 2), Residual(b))
        self.mid = nn.Sequential(conv(b, c, 3, 2), Residual(c), Residual(c))
        self.deep = nn.Sequential(conv(c, d, 3, 2), Residual(d), Residual(d), Residual(d))
        self.heights = nn.Sequential(conv(2, 12, 3, 2), conv(12, 16, 3, 2), Residual(16))
        self.meet4, self.meet8, self.meet16 = conv(3 * b + 16, b, 1), conv(3 * c, c, 1), conv(3 * d, d, 1)
        self.context = nn.Sequential(Residual(d), Residual(d))
        self.up8 = nn.Sequential(conv(d + c, c, 1), Residual(c))
        self.up4 = nn.Sequential(conv(c + b, b, 1), Residual(b), conv(b, b))
        self.head = nn.Conv2d(b, 1, 1)

    def forward(self, before: Tensor, after: Tensor, heights: Tensor) -> Tensor:
        """Logits of "a structure came or went"."""
        both = self.stem(torch.cat([before, after]))
        four = both.chunk(2)
        mid = self.mid(both)
        eight = mid.chunk(2)
        sixteen = self.deep(mid).chunk(2)
        x = self.context(self.meet16(_met(sixteen)))
        x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = self.up8(torch.cat([x, self.meet8(_met(eight))], 1))
        x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = self.up4(torch.cat([x, self.meet4(torch.cat([_met(four), self.heights(heights)], 1))], 1))
        return nn.functional.interpolate(self.head(x), scale_factor=4.0, mode="bilinear", align_corners=False)


class Twin(nn.Module):
    """`(n, 3, h, w)` before and after -> logits `(n, 1, h, w)`; h and w multiples of 16.

    Each date is read alone down to "what stands here", every fourth cell, and learns to say so; only then are the dates compared. So the
    weights learn what a roof is from every roof, not from the few that changed.
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.stem = nn.Sequential(conv(3, a, 3, 2), conv(a, b, 3, 2), Residual(b))
        self.mid = nn.Sequential(conv(b, c, 3, 2), Residual(c), Residual(c))
        self.deep = nn.Sequential(conv(c, d, 3, 2), Residual(d), Residual(d), Residual(d), Residual(d))
        self.up8 = nn.Sequential(conv(d + c, c, 1), Residual(c))
        self.up4 = nn.Sequential(conv(c + b, b, 1), Residual(b))
        self.stands = nn.Conv2d(b, 4, 1)
        self.compare = nn.Sequential(conv(3 * b, b, 1), Residual(b), conv(b, b), nn.Conv2d(b, 4, 1))

    def parts(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits `(n, 1, h / 2, w / 2)` of: came or went; stands before; stands after."""
        four = self.stem(torch.cat([before, after]))
        eight = self.mid(four)
        x = nn.functional.interpolate(self.deep(eight), scale_factor=2.0, mode="bilinear", align_corners=False)
        x = nn.functional.interpolate(self.up8(torch.cat([x, eight], 1)), scale_factor=2.0, mode="bilinear", align_corners=False)
        x = self.up4(torch.cat([x, four], 1))
        old, new = (nn.functional.pixel_shuffle(s, 2) for s in self.stands(x).chunk(2))
        first, second = x.chunk(2)
        return nn.functional.pixel_shuffle(self.compare(_met((first, second))), 2), old, new

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Logits of "a structure came or went"."""
        return nn.functional.interpolate(self.parts(before, after)[0], scale_factor=2.0, mode="bilinear", align_corners=False)


def _met(pair: tuple[Tensor, Tensor]) -> Tensor:
    return torch.cat([pair[0], pair[1], (pair[0] - pair[1]).abs()], 1)


def parameters(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(p.numel() for p in network.parameters())
