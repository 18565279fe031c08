"""What papers published, as data. Fractions where the metric is one, years for an age.

Sources, as read into the project's notes:
    TRILL: Shor et al. 2020, arXiv:2002.12764; the best classifier on test.
    Fixed: Porjazovski et al. 2024, From Raw Speech to Fixed Representations, TASLP 32.
    wavCSE: Learning Fixed-size Unified Speech Embeddings via Feature-based Multi-Task Learning, IJCNLP 2025.
    FRILL: its model card; FRILL's on CREMA-D is the best classifier on test.
    HEAR: the leaderboard of HEAR 2021, whose splits are its own.
"""

from noss.tasks.task import Figure

TRILL = "Shor et al. 2020, arXiv:2002.12764"
FIXED = "Porjazovski et al. 2024, TASLP 32"
WAVCSE = "wavCSE, IJCNLP 2025"
FRILL = "FRILL model card"
HEAR = "HEAR 2021 leaderboard (its own splits)"

# Accuracy in percent.
TRILL_TASKS = ("voxceleb1", "voxforge", "speech_commands", "crema_d", "savee", "dementiabank")
TRILL_ROWS = {
    "previous best": (80.5, 89, 91.1, 74, 61, 80.6),
    "mel/mfcc": (15.5, 79.2, 47.7, 52.8, 55.6, 67.7),
    "opensmile compare16": (2.3, 78.0, 36.5, 53.7, 62.6, 68.8),
    "random network": (12.0, 73.0, 42.0, 52.1, 48.6, 67.9),
    "yamnet top": (13.7, 67.0, 40.7, 52.2, 45.4, 64.8),
    "yamnet layer10": (41.5, 86.1, 73.1, 66.4, 62.3, 70.0),
    "vggish top": (14.1, 80.8, 28.3, 51.3, 49.8, 68.3),
    "vggish fcn1": (33.8, 85.1, 52.7, 55.7, 57.7, 68.7),
    "trill top": (33.9, 83.8, 60.4, 64.9, 53.7, 68.2),
    "trill layer19": (48.9, 88.1, 74.0, 67.8, 67.8, 67.2),
    "trill distilled": (44.6, 83.4, 74.9, 68.1, 60.0, 68.1),
    "trill finetuned": (44.6, 94.1, 91.2, 69.5, 68.6, 73.1),
}
# Accuracy in percent, one speaker at a time.
INTRA_TASKS = ("crema_d_intra", "savee_intra", "speech_commands_intra")
INTRA_ROWS = {
    "mel/mfcc": (47.7, 77.2, 73.3),
    "opensmile compare16": (47.6, 67.8, 72.2),
    "random network": (43.4, 73.9, 69.0),
    "yamnet top": (39.1, 64.4, 70.3),
    "yamnet layer10": (50.8, 79.2, 77.6),
    "vggish top": (43.1, 68.7, 70.2),
    "vggish fcn1": (50.5, 77.9, 73.1),
    "trill top": (56.8, 83.9, 72.2),
    "trill layer19": (57.0, 84.7, 74.7),
    "trill distilled": (56.8, 84.7, 74.7),
}
# UAR in percent (English, English, French), and F1 of the intent.
FIXED_TASKS = ("librispeech_gender", "iemocap_emotion", "cafe", "slurp_intent")
FIXED_ROWS = {
    "mfcc23": (93.9, 50.7, 36.3, 28.7),
    "hubert-base": (None, 67.1, 29.2, None),
    "hubert-large": (None, 65.0, 54.2, None),
    "wavlm-base-plus": (96.3, 62.8, 46.4, 70.4),
    "wavlm-large": (None, 65.5, 53.0, 72.4),
    "whisper-small": (None, 50.1, 19.1, None),
}
# Representation, task, score in the unit of the task's metric, source.
OTHERS: tuple[tuple[str, str, float, str], ...] = (
    ("wavcse", "speech_commands_v1", 0.9881, WAVCSE),
    ("wavcse", "voxceleb1", 0.9759, WAVCSE),
    ("wavcse", "voxforge", 0.9923, WAVCSE),
    ("wavcse", "football_keywords", 0.9646, WAVCSE),
    ("wavcse", "kathbath_speaker", 0.9733, WAVCSE),
    ("wavcse", "cn_celeb", 0.1687, WAVCSE + " (PLDA)"),
    ("wavcse", "timit_gender", 0.9984, WAVCSE),
    ("wavcse", "timit_age", 3.79, WAVCSE),
    ("wavcse", "timit_dialect", 0.5127, WAVCSE),
    ("wavcse", "aesdd", 0.8926, WAVCSE),
    ("wavcse", "iemocap_emotion", 0.7939, WAVCSE + " (accuracy)"),
    ("wavcse", "iemocap_valence", 0.67, WAVCSE),
    ("wavcse", "iemocap_activation", 0.68, WAVCSE),
    ("wavcse", "iemocap_dominance", 0.59, WAVCSE),
    ("wavcse", "fluent_intent", 0.710, WAVCSE),
    ("trill", "crema_d", 0.659, FRILL),
    ("trill", "savee", 0.700, FRILL),
    ("trill", "speech_commands", 0.817, FRILL),
    ("frill", "crema_d", 0.713, FRILL),
    ("frill", "speech_commands", 0.812, FRILL),
    ("byol-s", "crema_d", 0.657, HEAR),
    ("byol-s", "speech_commands", 0.948, HEAR),
    ("yamnet top", "crema_d", 0.453, HEAR),
    ("yamnet top", "speech_commands", 0.410, HEAR),
    ("wav2vec2", "crema_d", 0.656, HEAR),
    ("wav2vec2", "speech_commands", 0.879, HEAR),
)


def figures(task: str) -> tuple[Figure, ...]:
    """The published scores of a task, in the order of the tables above.

    >>> [figure.score for figure in figures("crema_d") if figure.representation == "trill distilled"]
    [0.681]
    >>> figures("timit_age")
    (Figure(representation='wavcse', score=3.79, source='wavCSE, IJCNLP 2025'),)
    """
    found = []
    for tasks, rows, source in (
        (TRILL_TASKS, TRILL_ROWS, TRILL),
        (INTRA_TASKS, INTRA_ROWS, TRILL),
        (FIXED_TASKS, FIXED_ROWS, FIXED),
    ):
        for representation, scores in rows.items():
            percent = dict(zip(tasks, scores, strict=True)).get(task)
            if percent is not None:
                found.append(Figure(representation, round(percent / 100, 4), source))
    return (
        *found,
        *(Figure(representation, score, source) for representation, of, score, source in OTHERS if of == task),
    )
