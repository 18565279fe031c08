"""Heads for one person, one household, one phone: labels learnt from a few clips, on the embeddings of a model."""

from trill.personal.head import PersonalHead, Prediction

__all__ = ["PersonalHead", "Prediction"]
