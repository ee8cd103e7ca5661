"""ComfyUI finds the nodes of comfyui/ here where the repository is cloned into its custom_nodes; nothing else does."""

from .comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
