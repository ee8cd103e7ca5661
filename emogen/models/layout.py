"""Where emotion tokens sit in `encoder_hidden_states`, and which video frames a latent frame covers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TailLayout:
    """Layout `[image_length | text_length | frames * num_tokens | 1 reference]` of a cross-attention's
    context.

    Args:
        num_tokens: emotion tokens for one moment.
        frames: 0 no tail at all, 1 one emotion for the whole clip, F one emotion for each latent frame.
        text_length: (padded) text tokens.
        image_length: image tokens that the transformer itself puts before the text (Wan2.1 image-to-video).
    """

    num_tokens: int
    frames: int
    text_length: int
    image_length: int = 0

    @property
    def tail_length(self) -> int:
        """Tokens after the text; 0 without a tail."""
        return self.frames * self.num_tokens + 1 if self.frames else 0

    @property
    def total_length(self) -> int:
        return self.image_length + self.text_length + self.tail_length


def frames_of_tail(length: int, text_length: int, num_tokens: int, latent_frames: int) -> int:
    """The `frames` of a layout from the length of a sequence `[text | tail]`.

    Args:
        length: tokens given.
        latent_frames: (patched) latent frames of the video that is denoised.

    Returns:
        0, 1 or `latent_frames`.

    Raises:
        ValueError: the length is none of the three that are possible.
    """
    for frames in (0, 1, latent_frames):
        if length == text_length + TailLayout(num_tokens, frames, text_length).tail_length:
            return frames
    constant = text_length + num_tokens + 1
    arc = text_length + latent_frames * num_tokens + 1
    raise ValueError(
        f"this transformer carries an emotion adapter and was given {length} tokens of "
        f"encoder_hidden_states. It takes {text_length} (text alone, no emotion), {constant} (one emotion: "
        f"{num_tokens} tokens and a reference) or {arc} (one emotion for each of {latent_frames} latent "
        f"frames). Pad the text to {text_length} tokens (max_sequence_length={text_length}), set "
        "adapter.text_length to the length in use, or call detach_emotion_adapter(transformer)"
    )


def latent_frame_count(num_frames: int, temporal_factor: int = 4) -> int:
    """Latent frames of a video of `num_frames`, rounded as Wan's pipelines do: 80, 81 -> 21."""
    return max(num_frames, 1) // temporal_factor + 1 if temporal_factor > 1 else max(num_frames, 1)


def latent_frame_times(latent_frames: int, temporal_factor: int = 4) -> list[float]:
    """The moment in [0, 1] of the clip that each latent frame stands for.

    Latent frame 0 is video frame 0; latent frame k covers the `temporal_factor` video frames up to
    `temporal_factor * k`, and stands for their middle.
    """
    last = (latent_frames - 1) * temporal_factor
    if last == 0:
        return [0.0]
    return [max(0.0, k * temporal_factor - (temporal_factor - 1) / 2) / last for k in range(latent_frames)]
