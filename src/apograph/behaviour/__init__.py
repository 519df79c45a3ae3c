"""Recorded answers: read, collected, joined and compared. The method is in ``docs/behaviour.md``.

``load_answers`` reads everything that a comparison needs; ``Answers.findings`` says what the agreement shows.
"""
