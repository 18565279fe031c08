"""Tasks of the other papers: Porjazovski et al. 2024 (gender, emotion, intent) and wavCSE (2025).

What a layout was checked against stands beside its row; no reader has seen a whole real archive. Not checked: that
Kathbath's archives spell their splits as its code does, how Football Keywords spells its folders, whether SLURP's
scenarios and actions join to the 93 intents of our source, and how that source merges IEMOCAP's emotions.
"""

from functools import partial

from noss.tasks.files import by_name
from noss.tasks.listed import (
    ATTRIBUTES,
    SEXES,
    TIMIT_FILE,
    read_cn_celeb,
    read_cn_celeb_trials,
    read_fluent,
    read_iemocap,
    read_librispeech,
    read_slurp,
    read_timit_age,
)
from noss.tasks.task import Corpus, Task

# Its documentation (readme.doc, spkrinfo.txt) as NLTK's reader and others parse it.
TIMIT = Corpus(
    title="TIMIT",
    source="https://catalog.ldc.upenn.edu/LDC93S1",
    licence="LDC user agreement",
    layout="""
DOC/SPKRINFO.TXT
TRAIN/DR1/FCJF0/SA1.WAV                     NIST SPHERE as on the disc, or RIFF; upper or lower case
TEST/DR1/FAKS0/SA1.WAV
...""",
)
# Label lines as many public readers parse them.
IEMOCAP = Corpus(
    title="IEMOCAP",
    source="https://sail.usc.edu/iemocap/iemocap_release.htm",
    licence="free for research, access on request",
    layout="""
Session1/dialog/EmoEvaluation/Ses01F_impro01.txt
Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
...                                         Session1 to Session5""",
)
LIBRISPEECH = Corpus(
    title="LibriSpeech",
    source="https://www.openslr.org/12",
    licence="CC BY 4.0",
    layout="""
LibriSpeech/SPEAKERS.TXT
LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac
LibriSpeech/test-clean/61/70968/61-70968-0000.flac
...                                         any of the seven parts, one to train and one to test at least""",
    tfds="librispeech",
)
# README.md and scripts/download_audio.sh of its repository.
SLURP = Corpus(
    title="SLURP",
    source="https://github.com/pswietojanski/slurp and https://zenodo.org/record/4274930",
    licence="CC BY 4.0 for the text, CC BY-NC 4.0 for the audio",
    layout="""
dataset/slurp/train.jsonl, devel.jsonl, test.jsonl, metadata.json
audio/slurp_real/audio-1502099775-headset.flac
...                                         slurp_real.tar.gz; the synthetic part is not used""",
)
# The readers of s3prl.
FLUENT = Corpus(
    title="Fluent Speech Commands",
    source="https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-understanding-research/",
    licence="Fluent Speech Commands Public License: research only",
    layout="""
data/train_data.csv, valid_data.csv, test_data.csv
wavs/speakers/2BqVo8kVB2Skwgyb/0a3129c0-4474-11e9-a9a5-5dbec3b8816a.wav
...""",
)
# README.txt of the database; one file is damaged in the official archive (mteb leaves it out as well).
AESDD = Corpus(
    title="AESDD",
    source="https://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/",
    licence="see the page",
    layout="""
anger/a01 (1).wav
...                                         anger, disgust, fear, happiness, sadness""",
)
# Readme.txt of the database.
CAFE = Corpus(
    title="CaFE",
    source="https://zenodo.org/record/1478765",
    licence="CC BY-NC-SA 4.0",
    layout="""
Colère/Faible/01-C-1-1.wav                  CaFE_48k.zip or CaFE_192k_*.zip, not both; the folders' names are free
Neutre/01-N-1-1.wav
...""",
)
# README.md and utilities/structure.py of AI4Bharat/IndicSUPERB; the splits' names from its s3prl/downstream/indic_sid.
KATHBATH = Corpus(
    title="Kathbath (IndicSUPERB)",
    source="https://github.com/AI4Bharat/IndicSUPERB",
    licence="CC0",
    layout="""
kb_data_clean_wav/bengali/train/594/844424931537866-594-f.wav
kb_data_clean_wav/bengali/test_known/594/844424931029859-594-f.wav
...                                         any languages; train, valid, test_known
The archives hold .m4a, which is not read: convert them with utilities/structure.py of the source.""",
)
# The table of its README says train, test, unknown and silence; the spelling of the folders could not be checked.
FOOTBALL_KEYWORDS = Corpus(
    title="Football Keywords Dataset",
    source="https://arxiv.org/abs/2012.15695",
    licence="as its authors say",
    layout="""
Train/Corner/1.ogg
Test/Corner/2.ogg
...                                         a folder each for the 18 keywords, upper or lower case""",
)
# egs/cnceleb/v1/local/make_cnceleb.sh of Kaldi.
CN_CELEB = Corpus(
    title="CN-Celeb",
    source="https://www.openslr.org/82",
    licence="see the page",
    layout="""
eval/lists/trials.lst
eval/enroll/id00800-enroll.flac             .wav in the first release
eval/test/id00800-singing-01-005.flac
dev/dev.lst                                 with data/, to train PLDA; cosine needs neither
data/id00000/singing-01-002.flac
...""",
)

TRAIN_TEST = {"train": "train", "test": "test"}
DIALECTS = {  # TIMIT, readme.doc
    "1": "new england",
    "2": "northern",
    "3": "north midland",
    "4": "south midland",
    "5": "southern",
    "6": "new york city",
    "7": "western",
    "8": "army brat",
}
EMOTIONS_AESDD = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"}
EMOTIONS_CAFE = {
    "c": "anger",
    "d": "disgust",
    "j": "happiness",
    "n": "neutral",
    "p": "fear",
    "s": "surprise",
    "t": "sadness",
}
KATHBATH_SPLITS = {"train": "train", "valid": "dev", "test_known": "test", "testkn": "test"}

read_timit_gender = by_name(TIMIT_FILE, "{sex}", "{speaker}", SEXES, TRAIN_TEST)
read_timit_dialect = by_name(TIMIT_FILE, "{dialect}", "{speaker}", DIALECTS, TRAIN_TEST)
read_aesdd = by_name(
    r"(?P<emotion>[adfhs])(?P<said>\d+) ?\((?P<actor>\d+)\) ?(?P<take>[a-z]?)\.wav",
    label="{emotion}",
    speaker="{actor}",
    classes=EMOTIONS_AESDD,
    damaged=("s05 (3).wav",),
)
read_cafe = by_name(
    r"(?P<actor>\d\d)-(?P<emotion>[CDJNPST])-(?P<level>[12])-(?P<said>\d)\.(?:wav|aiff?)",
    label="{emotion}",
    speaker="{actor}",
    classes=EMOTIONS_CAFE,
)
read_kathbath = by_name(
    r"(?P<language>[a-z]+)/(?P<split>train|valid|test_known|testkn)/(?:[^/]+/)*"
    r"(?P<number>\d+)-(?P<speaker>\d+)-[fm]\.(?:wav|flac|ogg|opus)",
    label="{language}-{speaker}",
    speaker="{language}-{speaker}",
    splits=KATHBATH_SPLITS,
)
read_football_keywords = by_name(
    r"(?P<split>train|test)/(?!unknown/|silence/)(?P<keyword>[^/]+)/(?P<clip>[^/]+)\.(?:ogg|oga|opus|wav|mp3|flac)",
    label="{keyword}",
    speaker=None,
    splits=TRAIN_TEST,
)

SLURP_OVERLAP = "SLURP splits by sentence: most speakers stand in all three"
FOOTBALL_OVERLAP = "its test part has at least 100 clips a word of speakers who are not in train, and others who are"

TASKS = (
    Task("timit_gender", TIMIT, "sex", read_timit_gender, split="canonical"),
    Task("timit_age", TIMIT, "age in years", read_timit_age, "regression", "mae", "canonical"),
    Task("timit_dialect", TIMIT, "dialect region", read_timit_dialect, split="canonical"),
    Task("iemocap_emotion", IEMOCAP, "emotion, excited as happy", read_iemocap, metric="uar", split="canonical"),
    *(
        Task(
            f"iemocap_{attribute}",
            IEMOCAP,
            f"{attribute}, 1 to 5",
            partial(read_iemocap, attribute=attribute),
            "regression",
            "ccc",
            "canonical",
        )
        for attribute in ATTRIBUTES
    ),
    Task("librispeech_gender", LIBRISPEECH, "sex", read_librispeech, metric="uar", split="canonical"),
    Task("slurp_intent", SLURP, "intent", read_slurp, metric="micro_f1", split="canonical", overlap=SLURP_OVERLAP),
    Task("fluent_intent", FLUENT, "intent", read_fluent, split="canonical"),
    Task("aesdd", AESDD, "emotion", read_aesdd),
    Task("cafe", CAFE, "emotion", read_cafe, metric="uar"),
    Task("kathbath_speaker", KATHBATH, "speaker", read_kathbath, split="canonical"),
    Task(
        "football_keywords",
        FOOTBALL_KEYWORDS,
        "keyword",
        read_football_keywords,
        split="canonical",
        overlap=FOOTBALL_OVERLAP,
    ),
    Task(
        "cn_celeb",
        CN_CELEB,
        "speaker",
        read_cn_celeb,
        "verification",
        "eer",
        "canonical",
        read_trials=read_cn_celeb_trials,
    ),
)
