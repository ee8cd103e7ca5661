"""A small `AutoencoderKLWan`: its start, its growth from images to clips, and a fast form that gives the same numbers.

Three things make a Wan autoencoder learn in hours instead of weeks on a CPU core: it starts as nearly the identity
(orthogonal projections, pass-through convolutions, quiet residual branches, a posterior of small variance); it sees
single images first, as 2-D convolutions, and only then clips; and clips go through it as one sequence, which is equal
to diffusers' frame-by-frame loop with caches but vectorised (checked in the tests).
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders import autoencoder_kl_wan as wan_vae
from torch import nn

from recipe.config import Autoencoder


def build(config: Autoencoder) -> AutoencoderKLWan:
    """The network, at its start."""
    vae = AutoencoderKLWan(
        base_dim=config.base_dim,
        decoder_base_dim=config.decoder_dim,
        z_dim=config.channels,
        dim_mult=list(config.levels),
        num_res_blocks=config.blocks,
        temperal_downsample=list(config.temporal),
        in_channels=3 * config.patch**2,
        out_channels=3 * config.patch**2,
        patch_size=config.patch,
        scale_factor_spatial=config.space,
        scale_factor_temporal=config.time,
        latents_mean=[0.0] * config.channels,
        latents_std=[1.0] * config.channels,
    )
    quiet_init(vae)
    return vae


def _resample(self, x, feat_cache=None, feat_idx=None):
    """`WanResample.forward` over a whole sequence: the first frame alone, the rest by the temporal convolution."""
    if self.mode == "upsample3d" and x.shape[2] > 1:
        first, rest = x[:, :, :1], self.time_conv(x[:, :, 1:])
        b, c2, t, h, w = rest.shape
        rest = rest.reshape(b, 2, c2 // 2, t, h, w).permute(0, 2, 3, 1, 4, 5).reshape(b, c2 // 2, 2 * t, h, w)
        x = torch.cat([first, rest], 2)
    b, c, t, h, w = x.shape
    x = self.resample(x.transpose(1, 2).reshape(b * t, c, h, w))
    x = x.view(b, t, *x.shape[1:]).transpose(1, 2)
    if self.mode == "downsample3d" and t > 1:
        x = torch.cat([x[:, :, :1], self.time_conv(x)], 2)
    return x


def _causal_conv(self, x, cache_x=None):
    """`WanCausalConv3d.forward`; a single frame only meets the newest temporal tap, so it is a 2-D convolution."""
    pad = self._padding  # (w, w, h, h, t, 0): causal in time
    if x.shape[2] == 1 and self.kernel_size[0] > 1 and pad[4] == self.kernel_size[0] - 1:
        out = F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, padding=(pad[2], pad[0]))
        return out.unsqueeze(2)
    x = F.pad(x, (0, 0, 0, 0, pad[4], 0)) if pad[4] else x
    return F.conv3d(x, self.weight, self.bias, self.stride, (0, pad[2], pad[0]))


@contextlib.contextmanager
def full_sequence():
    """Within this block every Wan autoencoder treats its input as one sequence, without caches."""
    saved = wan_vae.WanResample.forward, wan_vae.WanCausalConv3d.forward
    wan_vae.WanResample.forward, wan_vae.WanCausalConv3d.forward = _resample, _causal_conv
    try:
        yield
    finally:
        wan_vae.WanResample.forward, wan_vae.WanCausalConv3d.forward = saved


def channels_last(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """Lay the convolutions' weights out as clips from frames are, channels last: a step on clips takes a fifth less."""
    for module in vae.modules():
        if isinstance(module, nn.Conv3d):
            module.to(memory_format=torch.channels_last_3d)
        elif isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
    return vae


def encode(vae: AutoencoderKLWan, clips: torch.Tensor) -> torch.Tensor:
    """Moments `[B, 2z, T, h, w]` of clips `[B, 3, F, H, W]` in [-1, 1]; call inside `full_sequence()`."""
    return vae.quant_conv(vae.encoder(wan_vae.patchify(clips, vae.config.patch_size)))


def decode(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Clips `[B, 3, F, H, W]` (not clamped) of latents `[B, z, T, h, w]`; call inside `full_sequence()`."""
    return wan_vae.unpatchify(vae.decoder(vae.post_quant_conv(latents)), vae.config.patch_size)


@torch.no_grad()
def quiet_init(vae: AutoencoderKLWan) -> None:
    """Start as nearly the identity; see the module's text."""
    for module in vae.modules():
        if isinstance(module, wan_vae.WanResidualBlock):
            module.conv2.weight.mul_(0.1)
            module.conv2.bias.zero_()
            if isinstance(module.conv_shortcut, nn.Conv3d):
                _orthogonal_tap(module.conv_shortcut)
        elif isinstance(module, wan_vae.WanResample):
            if module.mode.startswith("downsample"):
                conv = module.resample[1]
                conv.weight.mul_(0.05)
                eye = torch.eye(conv.out_channels, conv.in_channels)
                for dy in range(2):
                    for dx in range(2):
                        conv.weight[:, :, dy, dx] += eye / 4
            else:
                conv = module.resample[1]
                conv.weight.mul_(0.05)
                conv.weight[:, :, 1, 1] += nn.init.orthogonal_(torch.empty(conv.out_channels, conv.in_channels))
            if hasattr(module, "time_conv"):
                _identity_in_time(module.time_conv)
        elif isinstance(module, wan_vae.WanCausalConv3d) and module.kernel_size == (3, 3, 3):
            module.weight[:, :, :-1].zero_()  # images leave what looks back in time at zero, and clips begin from there
    for conv in (
        vae.encoder.conv_in,
        vae.encoder.conv_out,
        vae.decoder.conv_in,
        vae.decoder.conv_out,
        vae.quant_conv,
        vae.post_quant_conv,
    ):
        _orthogonal_tap(conv)
    z = vae.config.z_dim
    vae.quant_conv.weight[z:] *= 0.05
    vae.quant_conv.bias[z:] = -5.0  # a log-variance of 0 would bury the signal in noise at the start


def _orthogonal_tap(conv: nn.Conv3d) -> None:
    conv.weight.mul_(0.05)
    t, h, w = conv.kernel_size
    conv.weight[:, :, t - 1, h // 2, w // 2] += nn.init.orthogonal_(torch.empty(conv.out_channels, conv.in_channels))
    conv.bias.zero_()


def _identity_in_time(conv: nn.Conv3d) -> None:
    conv.weight.zero_()
    conv.bias.zero_()
    eye = torch.eye(conv.in_channels)
    for part in range(conv.out_channels // conv.in_channels):
        conv.weight[part * conv.in_channels : (part + 1) * conv.in_channels, :, -1, 0, 0] += eye


def to_pixels(clips: np.ndarray) -> torch.Tensor:
    """uint8 `[B, F, H, W, 3]` -> `[B, 3, F, H, W]` in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(clips)).permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)


@torch.no_grad()
def normalised_latents(vae: AutoencoderKLWan, pixels: torch.Tensor) -> torch.Tensor:
    """Posterior means `[B, z, T, h, w]` of clips in [-1, 1], of mean 0 and deviation 1 a channel by the config."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    with full_sequence(), torch.autocast("cpu", torch.bfloat16):
        latents = encode(vae, pixels).chunk(2, dim=1)[0].float()
    return (latents - mean) / std
