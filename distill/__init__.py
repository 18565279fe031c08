"""Big models taught to small ones.

>>> import distill
>>> [teacher.name for teacher in distill.list_teachers() if teacher.family == "hubert"]
['hubert-base', 'hubert-large', 'hubert-large-ls960-ft']
"""

from distill.teachers import Teacher, describe, list_teachers, load_teacher

__all__ = ["Teacher", "describe", "list_teachers", "load_teacher"]
