"""Small vision-language models of MiniCPM-Llama3-V's architecture, trained on what this room draws.

``texts`` and ``render`` make lines of text as pictures, ``glyphs`` a rare script, ``screens`` screens with
buttons; ``tiny`` builds models, ``train`` trains them, ``read`` is the model that reads lines.
"""
