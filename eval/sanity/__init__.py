"""Does the evaluation see what is wrong with a clip? Real clips, made worse step by step, and what the figures say."""
