"""Text-to-video and image-to-video with one face, for tests of what both pipelines do."""

from __future__ import annotations

from diffusers import WanImageToVideoPipeline, WanPipeline
from wan_i2v_parts import film, tiny_i2v, tiny_i2v_transformer

from emogen.models import EmotionAdapterConfig
from emogen.pipelines import EmotionWanImageToVideoPipeline, EmotionWanPipeline


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


class TextToVideo:
    form, kind, stock_kind = "t2v", EmotionWanPipeline, WanPipeline

    def __init__(self, make_pipe, generate, train, make_transformer):
        self.make_pipe, self.film, self.train, self.make_transformer = make_pipe, generate, train, make_transformer

    def stock(self, **overrides):
        return quiet(self.stock_kind(**(self.make_pipe().components | overrides)))

    def pipe(self, **overrides):
        return quiet(self.kind(**(self.make_pipe().components | overrides)))

    def transformer(self):
        return self.make_transformer()

    def dressed(self, **overrides):
        """A pipeline with a trained adapter; equal weights every time."""
        pipe = self.pipe(**overrides)
        self.train(pipe.add_emotion_adapter(self.config))
        return pipe

    @property
    def config(self) -> EmotionAdapterConfig:
        length = 12 if self.form == "t2v" else 512
        return EmotionAdapterConfig(rank=64, head_dim=32, hidden_dim=16, text_length=length)


class ImageToVideo(TextToVideo):
    kind, stock_kind = EmotionWanImageToVideoPipeline, WanImageToVideoPipeline

    def __init__(self, form, *args):
        super().__init__(*args)
        self.form, self.film = form, film

    def stock(self, **overrides):
        return tiny_i2v(self.make_pipe, self.stock_kind, self.form, **overrides)

    def pipe(self, **overrides):
        return tiny_i2v(self.make_pipe, self.kind, self.form, **overrides)

    def transformer(self):
        return tiny_i2v_transformer(image_branch=False)
