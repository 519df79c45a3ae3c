"""An OpenAI-compatible server for one model: chat completions with pictures, streamed or whole."""
