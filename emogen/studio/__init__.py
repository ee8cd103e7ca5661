"""The studio: a local page to ask for emotions by hand and see what comes of it (`emogen studio`).

Only `page` needs gradio; what a click means, the pictures and the work behind the page do not.
"""
