"""Stage 2 of the recipe: train a small `AutoencoderKLWan` from scratch.

Three things make a Wan autoencoder learn in minutes instead of days on two CPU cores: it starts as nearly the
identity (orthogonal projections, pass-through convolutions, quiet residual branches, a posterior of small variance);
it sees single images first, as 2-D convolutions, and only then clips; and clips go through it as one sequence, which
is equal to diffusers' frame-by-frame loop with caches but vectorised (checked in the tests).
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders import autoencoder_kl_wan as wan_vae
from torch import nn

VAE_CONFIG = dict(
    base_dim=32,
    decoder_base_dim=32,
    z_dim=16,
    dim_mult=[1, 2],
    num_res_blocks=1,
    temperal_downsample=[True],
    in_channels=12,
    out_channels=12,
    patch_size=2,
    scale_factor_spatial=4,
    scale_factor_temporal=2,
    latents_mean=[0.0] * 16,
    latents_std=[1.0] * 16,
)
"""4x4 in space and 2 in time to 16 channels. At 96 pixels the published 8x8x4 loses the eyes of a face."""


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
    return nn.Conv3d.forward(self, F.pad(x, pad))


@contextlib.contextmanager
def full_sequence():
    """Within this block every Wan autoencoder treats its input as one sequence, without caches."""
    saved = wan_vae.WanResample.forward, wan_vae.WanCausalConv3d.forward
    wan_vae.WanResample.forward, wan_vae.WanCausalConv3d.forward = _resample, _causal_conv
    try:
        yield
    finally:
        wan_vae.WanResample.forward, wan_vae.WanCausalConv3d.forward = saved


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
    conv.weight.mul_(0.05)
    conv.bias.zero_()
    eye = torch.eye(conv.in_channels)
    for part in range(conv.out_channels // conv.in_channels):
        conv.weight[part * conv.in_channels : (part + 1) * conv.in_channels, :, -1, 0, 0] += eye


@torch.no_grad()
def inflate(vae: AutoencoderKLWan) -> None:
    """Before the first clip: forget the temporal taps that images never trained."""
    for module in vae.modules():
        if isinstance(module, wan_vae.WanCausalConv3d) and module.kernel_size == (3, 3, 3):
            module.weight[:, :, :-1].zero_()
    for module in vae.modules():
        if isinstance(module, wan_vae.WanResample) and hasattr(module, "time_conv"):
            module.time_conv.weight.zero_()
            _identity_in_time(module.time_conv)


def reconstruction_loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1, heavier where the picture has detail (eyes and mouths are few pixels), plus gradients and motion."""
    b, c, t, h, w = target.shape
    flat = target.transpose(1, 2).reshape(b * t, c, h, w)
    detail = (flat - F.avg_pool2d(flat, 5, 1, 2)).abs().mean(1, keepdim=True)
    weight = (1 + 6 * detail).view(b, t, 1, h, w).transpose(1, 2)
    loss = ((out - target).abs() * weight).mean()
    for axis in (3, 4):
        loss = loss + 0.5 * (out.diff(dim=axis) - target.diff(dim=axis)).abs().mean()
    if t > 1:
        loss = loss + 0.25 * (out.diff(dim=2) - target.diff(dim=2)).abs().mean()
    return loss


def psnr(out: torch.Tensor, target: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB for values in [-1, 1]."""
    return 10 * math.log10(4 / (out.clamp(-1, 1) - target).pow(2).mean().item())


def _batch(clips: list[np.ndarray], rng: np.random.Generator, size: int, frames: int) -> torch.Tensor:
    picked = []
    for _ in range(size):
        store = clips[0] if len(clips) == 1 or rng.random() < 0.6 else clips[1]  # 60 % rendered, 40 % real
        clip = store[rng.integers(len(store))]
        start = rng.integers(clip.shape[0] - frames + 1)
        piece = np.asarray(clip[start : start + frames])
        picked.append(piece[:, :, ::-1] if rng.random() < 0.3 else piece)
    batch = torch.from_numpy(np.stack(picked)).permute(0, 4, 1, 2, 3)
    return batch.float().div_(127.5).sub_(1)


def train(
    clips: list[np.ndarray],
    held_out: dict[str, np.ndarray],
    folder: Path,
    *,
    minutes_images: float,
    minutes_clips: float,
    seed: int = 0,
    threads: int = 1,
    save_every: float = 120.0,
) -> AutoencoderKLWan:
    """Train for a given time and save to `folder/vae`; started again, it goes on from the last checkpoint.

    Args:
        clips: uint8 arrays `(N, F, H, W, 3)`: rendered clips, and optionally real ones.
        held_out: name -> uint8 clips for the printed PSNR.
        minutes_images, minutes_clips: length of the two phases, in minutes of wall time.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    vae = AutoencoderKLWan(**VAE_CONFIG)
    quiet_init(vae)
    state = folder / "vae_state.pt"
    phases = [("images", minutes_images * 60, 1, 16, 1.5e-3), ("clips", minutes_clips * 60, 9, 3, 8e-4)]
    progress = {"phase": 0, "spent": 0.0, "step": 0}
    if state.exists():
        saved = torch.load(state, weights_only=True)
        vae.load_state_dict(saved["vae"])
        progress = saved["progress"]
        rng = np.random.default_rng([seed, progress["step"]])
    for phase in range(progress["phase"], len(phases)):
        name, budget, frames, size, peak = phases[phase]
        if progress["phase"] < phase:
            progress = {"phase": phase, "spent": 0.0, "step": 0}
            inflate(vae)
        optimizer = torch.optim.AdamW(vae.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=0.0)
        last_save, clock, running = time.time(), time.time(), []
        while progress["spent"] < budget:
            done = progress["spent"] / budget
            warm = min(1.0, (progress["step"] % 10**9 + 1) / 50)
            for group in optimizer.param_groups:
                group["lr"] = peak * warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))
            target = _batch(clips, rng, size, frames)
            with full_sequence(), torch.autocast("cpu", torch.bfloat16):
                mean, log_variance = encode(vae, target).chunk(2, dim=1)
                log_variance = log_variance.float().clamp(-12, 4)
                latent = mean.float() + torch.randn_like(mean, dtype=torch.float32) * (0.5 * log_variance).exp()
                out = decode(vae, latent).float()
            kl = 0.5 * (mean.float().pow(2) + log_variance.exp() - 1 - log_variance).mean()
            loss = reconstruction_loss(out, target) + 1e-4 * kl
            loss.backward()
            nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            running.append(loss.item())
            progress["step"] += 1
            now = time.time()
            progress["spent"] += now - clock
            clock = now
            if progress["step"] % 50 == 0:
                print(
                    f"vae {name} step {progress['step']} loss {np.mean(running[-50:]):.4f} "
                    f"{progress['spent']:.0f}/{budget:.0f} s",
                    flush=True,
                )
            if now - last_save > save_every or progress["spent"] >= budget:
                report = {k: round(evaluate(vae, v), 2) for k, v in held_out.items()}
                print(f"vae {name} step {progress['step']} PSNR {report}", flush=True)
                torch.save({"vae": vae.state_dict(), "progress": progress}, state.with_suffix(".tmp"))
                state.with_suffix(".tmp").replace(state)
                last_save = clock = time.time()
    return vae


@torch.no_grad()
def evaluate(vae: AutoencoderKLWan, clips: np.ndarray) -> float:
    """PSNR in dB of reconstructions by the posterior mean, over up to 16 clips."""
    batch = torch.from_numpy(np.ascontiguousarray(clips[:16])).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    with full_sequence(), torch.autocast("cpu", torch.bfloat16):
        out = decode(vae, encode(vae, batch).chunk(2, dim=1)[0])
    return psnr(out.float(), batch)


@torch.no_grad()
def calibrate(vae: AutoencoderKLWan, clips: np.ndarray) -> None:
    """Measure the latents' mean and standard deviation a channel and write them into the config."""
    batch = torch.from_numpy(np.ascontiguousarray(clips)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    with full_sequence():
        mean = torch.cat([encode(vae, part).chunk(2, dim=1)[0] for part in batch.split(8)])
    vae.register_to_config(
        latents_mean=[round(v, 4) for v in mean.mean(dim=(0, 2, 3, 4)).tolist()],
        latents_std=[round(v, 4) for v in mean.std(dim=(0, 2, 3, 4)).tolist()],
    )


def save(vae: AutoencoderKLWan, folder: Path) -> None:
    vae.to(torch.bfloat16).save_pretrained(folder / "vae")
    print(json.dumps({"vae_parameters": sum(p.numel() for p in vae.parameters())}))
