"""Big models, a file a family: `load_teacher` finds the file."""

from distill.teachers.loading import load_teacher, representation
from distill.teachers.presets import Preset, describe, list_teachers
from distill.teachers.teacher import Layer, Teacher

__all__ = ["Layer", "Preset", "Teacher", "describe", "list_teachers", "load_teacher", "representation"]
