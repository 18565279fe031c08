"""Corpora of a few empty files, named and laid out as in the official archives, with what else lies in those.

A row: the files and what is in them, and what reading them must give: (name, label, speaker, split).
"""

import io
import json
import wave
from pathlib import Path

# What unpacking on other machines leaves behind, in every folder of every fake.
LITTER = (".DS_Store", "._{0}", "README.md", "Thumbs.db")


def silence(seconds):
    """A WAV file of 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(round(seconds * 32_000)))
    return file.getvalue()


def make(folder, files):
    """Write the files, and litter beside each."""
    for name, content in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        for litter in LITTER:
            path.with_name(litter.format(path.name)).write_bytes(b"\0litter\xff")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Path(folder)


def lines(*rows):
    return "".join(f"{row}\n" for row in rows)


def wav(*names):
    return dict.fromkeys(names, "")


def commands(version):
    main, test = f"speech_commands_v0.0{version}", f"speech_commands_test_set_v0.0{version}"
    files = {
        f"{main}/validation_list.txt": lines("bed/0a7c2a8d_nohash_0.wav", "yes/0b56bcfe_nohash_1.wav"),
        f"{main}/testing_list.txt": lines("bed/a4383927_nohash_0.wav", "yes/0c40e715_nohash_0.wav"),
        f"{main}/_background_noise_/running_tap.wav": silence(2.2),
        f"{main}/_background_noise_/white_noise.wav": silence(1.6),
        f"{main}/_background_noise_/pink_noise.wav": silence(0.9),
        **wav(
            f"{main}/bed/00176480_nohash_0.wav",
            f"{main}/bed/0a7c2a8d_nohash_0.wav",
            f"{main}/bed/a4383927_nohash_0.wav",
            f"{main}/yes/00176480_nohash_0.wav",
            f"{main}/yes/0b56bcfe_nohash_1.wav",
            f"{main}/yes/0c40e715_nohash_0.wav",
            f"{test}/_silence_/1035.wav",
            f"{test}/_unknown_/bed_a4383927_nohash_0.wav.wav",
            f"{test}/yes/0c40e715_nohash_0.wav",
        ),
    }
    noise = f"{main}/_background_noise_"
    expected = [
        (f"{main}/bed/00176480_nohash_0.wav", "_unknown_", "00176480", "train"),
        (f"{main}/bed/0a7c2a8d_nohash_0.wav", "_unknown_", "0a7c2a8d", "dev"),
        (f"{main}/yes/00176480_nohash_0.wav", "yes", "00176480", "train"),
        (f"{main}/yes/0b56bcfe_nohash_1.wav", "yes", "0b56bcfe", "dev"),
        (f"{noise}/running_tap.wav#0.0", "_silence_", f"?{noise}/running_tap.wav", "dev"),
        (f"{noise}/running_tap.wav#0.5", "_silence_", f"?{noise}/running_tap.wav", "dev"),
        (f"{noise}/running_tap.wav#1.0", "_silence_", f"?{noise}/running_tap.wav", "dev"),
        (f"{noise}/white_noise.wav#0.0", "_silence_", f"?{noise}/white_noise.wav", "train"),
        (f"{noise}/white_noise.wav#0.5", "_silence_", f"?{noise}/white_noise.wav", "train"),
        (f"{test}/_silence_/1035.wav", "_silence_", f"?{test}/_silence_/1035.wav", "test"),
        (f"{test}/_unknown_/bed_a4383927_nohash_0.wav.wav", "_unknown_", "a4383927", "test"),
        (f"{test}/yes/0c40e715_nohash_0.wav", "yes", "0c40e715", "test"),
    ]
    return files, expected


CREMA_D = (
    wav(
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "AudioWAV/1001_IEO_SAD_HI.wav",
        "AudioWAV/1091_WSI_NEU_XX.WAV",
        "AudioMP3/1001_DFA_ANG_XX.mp3",
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "processedResults/summaryTable.csv",
        "AudioWAV/notes.wav",
    ),
    [
        ("AudioWAV/1001_DFA_ANG_XX.wav", "anger", "1001", None),
        ("AudioWAV/1001_IEO_SAD_HI.wav", "sadness", "1001", None),
        ("AudioWAV/1091_WSI_NEU_XX.WAV", "neutral", "1091", None),
    ],
)
SAVEE = (
    wav("AudioData/DC/a01.wav", "AudioData/DC/sa15.wav", "AudioData/KL/su03.wav", "AudioData/Info.txt"),
    [
        ("AudioData/DC/a01.wav", "anger", "dc", None),
        ("AudioData/DC/sa15.wav", "sadness", "dc", None),
        ("AudioData/KL/su03.wav", "surprise", "kl", None),
    ],
)
TIMIT_FILES = {
    "timit/DOC/SPKRINFO.TXT": lines(
        ";ID  Sex DR Use  RecDate   BirthDate  Ht    Race Edu  Comments",
        "CJF0  F   1  TRN  03/03/86  03/02/56  5'4\"   WHT  BS",
        "AKS0  F   1  TST  03/14/86  03/14/26  5'8\"   WHT  MS  hoarse at 40, see notes",
        "DAB0  M   1  TST  02/24/86  ??/??/??  6'0\"   WHT  BS",
    ),
    **wav(
        "timit/TRAIN/DR1/FCJF0/SA1.WAV",
        "timit/TRAIN/DR1/FCJF0/SA1.WAV.wav",
        "timit/TRAIN/DR1/FCJF0/SA1.PHN",
        "timit/test/dr8/faks0/si1573.wav",
        "timit/TEST/DR1/MDAB0/SX9.WAV",
    ),
}
TIMIT_NAMES = ("timit/TEST/DR1/MDAB0/SX9.WAV", "timit/TRAIN/DR1/FCJF0/SA1.WAV", "timit/test/dr8/faks0/si1573.wav")
TIMIT_WHO = (("mdab0", "test"), ("fcjf0", "train"), ("faks0", "test"))


def timit(*labels):
    rows = zip(TIMIT_NAMES, labels, TIMIT_WHO, strict=True)
    return TIMIT_FILES, [(name, label, *who) for name, label, who in rows if label is not None]


def iemocap_dialog(name, *turns):
    """Turns and, below each, what its raters said."""
    rated = ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
    head = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    session = f"Session{name[4]}"
    text = lines(*head, *(line for turn in turns for line in (turn, *rated)))
    clips = [turn.split("\t")[1] for turn in turns]
    sounds = wav(*(f"{session}/sentences/wav/{name}/{clip}.wav" for clip in clips))
    return {f"{session}/dialog/EmoEvaluation/{name}.txt": text, **sounds}


IEMOCAP_FILES = {
    **iemocap_dialog(
        "Ses01F_impro01",
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.0000]",
        "[10.0100 - 11.3925]\tSes01F_impro01_F001\texc\t[4.0000, 4.5000, 3.0000]",
        "[19.2900 - 20.7875]\tSes01F_impro01_M003\txxx\t[3.0000, 3.0000, 3.0000]",
    ),
    **iemocap_dialog("Ses05M_script01_1b", "[1.0 - 2.0]\tSes05M_script01_1b_M010\tang\t[1.0000, 5.0000, 5.0000]"),
    "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt": "Ses01F_impro01_F000 :Neutral state; ()\n",
    "Session1/dialog/wav/Ses01F_impro01.wav": "",
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F009.wav": "",  # without a label
}
IEMOCAP = "Session{0}/sentences/wav/{1}/{1}_{2}.wav"


def iemocap(*labels):
    rows = (
        (IEMOCAP.format(1, "Ses01F_impro01", "F000"), labels[0], "ses01f", "train"),
        (IEMOCAP.format(1, "Ses01F_impro01", "F001"), labels[1], "ses01f", "train"),
        (IEMOCAP.format(1, "Ses01F_impro01", "M003"), labels[2], "ses01m", "train"),
        (IEMOCAP.format(5, "Ses05M_script01_1b", "M010"), labels[3], "ses05m", "test"),
    )
    return IEMOCAP_FILES, [row for row in rows if row[1] is not None]


def slurp_line(scenario, action, *files):
    recordings = [{"file": file, "wer": 0, "status": "correct"} for file in files]
    return json.dumps({"slurp_id": 1, "scenario": scenario, "action": action, "recordings": recordings})


SLURP = (
    {
        "dataset/slurp/train.jsonl": lines(slurp_line("alarm", "set", "audio-1-headset.flac", "audio-1.flac")),
        "dataset/slurp/train_synthetic.jsonl": lines(slurp_line("alarm", "set", "audiosynth_1.flac")),
        "dataset/slurp/devel.jsonl": lines(slurp_line("play", "music", "audio--2.flac")),
        "dataset/slurp/test.jsonl": lines(slurp_line("play", "music", "audio-3.flac")),
        "dataset/slurp/metadata.json": json.dumps(
            {
                "1": {"recordings": {file: {"usrid": "FO-488"} for file in ("audio-1-headset.flac", "audio-1.flac")}},
                "2": {"recordings": {"audio--2.flac": {"usrid": "FO-488"}, "audio-3.flac": {}}},
            }
        ),
        **wav(*(f"audio/slurp_real/audio-{n}.flac" for n in ("1-headset", "1", "-2", "3"))),
        **wav("audio/slurp_synth/audiosynth_1.flac", "audio/slurp_real.tar.gz"),
    },
    [
        ("audio/slurp_real/audio-1-headset.flac", "alarm_set", "FO-488", "train"),
        ("audio/slurp_real/audio-1.flac", "alarm_set", "FO-488", "train"),
        ("audio/slurp_real/audio--2.flac", "play_music", "FO-488", "dev"),
        ("audio/slurp_real/audio-3.flac", "play_music", "?audio/slurp_real/audio-3.flac", "test"),
    ],
)
FLUENT_HEAD = ",path,speakerId,transcription,action,object,location"
FLUENT = (
    {
        "fsc/data/train_data.csv": lines(FLUENT_HEAD, '0,wavs/speakers/s1/a.wav,s1,"Lights, on",activate,lights,none'),
        "fsc/data/valid_data.csv": lines(FLUENT_HEAD, "0,wavs/speakers/s2/b.wav,s2,Off,deactivate,lights,kitchen"),
        "fsc/data/test_data.csv": lines(FLUENT_HEAD, "0,wavs/speakers/s3/c.wav,s3,On,activate,lights,none"),
        "fsc/data/speaker_demographics.csv": "speakerId,gender\n",
        **wav(*(f"fsc/wavs/speakers/{clip}.wav" for clip in ("s1/a", "s2/b", "s3/c"))),
    },
    [
        ("fsc/wavs/speakers/s1/a.wav", "activate lights none", "s1", "train"),
        ("fsc/wavs/speakers/s2/b.wav", "deactivate lights kitchen", "s2", "dev"),
        ("fsc/wavs/speakers/s3/c.wav", "activate lights none", "s3", "test"),
    ],
)
CN_CELEB = (
    {
        "CN-Celeb_flac/eval/lists/enroll.lst": lines("id00800-enroll enroll/id00800-enroll.wav"),
        "CN-Celeb_flac/eval/lists/trials.lst": lines(
            "id00800-enroll test/id00800-singing-01-005.wav 1", "id00800-enroll test/id00999-vlog-01-001.wav 0"
        ),
        "CN-Celeb_flac/dev/dev.lst": lines("id00000"),
        **wav(
            "CN-Celeb_flac/eval/enroll/id00800-enroll.flac",
            "CN-Celeb_flac/eval/test/id00800-singing-01-005.flac",
            "CN-Celeb_flac/eval/test/id00999-vlog-01-001.flac",
            "CN-Celeb_flac/data/id00000/singing-01-002.flac",
            "CN-Celeb_flac/data/id00800/singing-01-005.flac",
        ),
    },
    [
        ("CN-Celeb_flac/eval/enroll/id00800-enroll.flac", "id00800", "id00800", "test"),
        ("CN-Celeb_flac/eval/test/id00800-singing-01-005.flac", "id00800", "id00800", "test"),
        ("CN-Celeb_flac/eval/test/id00999-vlog-01-001.flac", "id00999", "id00999", "test"),
        ("CN-Celeb_flac/data/id00000/singing-01-002.flac", "id00000", "id00000", "train"),
    ],
)
VOXFORGE = "Trunk/Audio/Main/16kHz_16bit"

FAKES = {
    "voxceleb1": (
        {
            "iden_split.txt": lines(
                "3 id10003/na8-QEFmj44/00003.wav",
                "1 id10003/5ablueV_1tw/00001.wav",
                "2 id10001/1zcIwhmdeo4/00001.wav",
                "1 id10001/1zcIwhmdeo4/00002.wav",
            ),
            **wav(
                "dev/wav/id10003/na8-QEFmj44/00003.wav",
                "dev/wav/id10003/5ablueV_1tw/00001.wav",
                "test/wav/id10001/1zcIwhmdeo4/00001.wav",
                "test/wav/id10001/1zcIwhmdeo4/00002.wav",
                "vox1_meta.csv",
            ),
        },
        [
            ("dev/wav/id10003/na8-QEFmj44/00003.wav", "id10003", "id10003", "test"),
            ("dev/wav/id10003/5ablueV_1tw/00001.wav", "id10003", "id10003", "train"),
            ("test/wav/id10001/1zcIwhmdeo4/00001.wav", "id10001", "id10001", "dev"),
            ("test/wav/id10001/1zcIwhmdeo4/00002.wav", "id10001", "id10001", "train"),
        ],
    ),
    "voxforge": (
        wav(
            f"de/{VOXFORGE}/guenter-20140214-afn/wav/de5-001.wav",
            f"de/{VOXFORGE}/guenter-20140214-afn/wav/de5-002.WAV",
            f"de/{VOXFORGE}/guenter-20140214-afn/etc/PROMPTS",
            f"de/{VOXFORGE}/guenter-20140214-afn.tgz",
            f"de/{VOXFORGE}/anonymous-20080313-aaa/flac/de1-01.flac",
            f"SpeechCorpus/{VOXFORGE}/Aaron-20080318-kdl/wav/a0001.wav",
            f"SpeechCorpus/{VOXFORGE}/Aaron-20080318-kdl/flac/a0001.flac",
            "ru/anonymous-20100101-xyz/wav/ru_0001.wav",
        ),
        [
            (f"SpeechCorpus/{VOXFORGE}/Aaron-20080318-kdl/wav/a0001.wav", "en", "aaron", None),
            (f"de/{VOXFORGE}/anonymous-20080313-aaa/flac/de1-01.flac", "de", "anonymous", None),
            (f"de/{VOXFORGE}/guenter-20140214-afn/wav/de5-001.wav", "de", "guenter", None),
            (f"de/{VOXFORGE}/guenter-20140214-afn/wav/de5-002.WAV", "de", "guenter", None),
            ("ru/anonymous-20100101-xyz/wav/ru_0001.wav", "ru", "anonymous", None),
        ],
    ),
    "speech_commands": commands(2),
    "speech_commands_v1": commands(1),
    "speech_commands_intra": (
        commands(2)[0],
        [
            (f"speech_commands_v0.02/{word}/{who}_nohash_{take}.wav", label, who, None)
            for word, label, clips in (
                ("bed", "_unknown_", (("00176480", 0), ("0a7c2a8d", 0), ("a4383927", 0))),
                ("yes", "yes", (("00176480", 0), ("0b56bcfe", 1), ("0c40e715", 0))),
            )
            for who, take in clips
        ],
    ),
    "crema_d": CREMA_D,
    "crema_d_intra": CREMA_D,
    "savee": SAVEE,
    "savee_intra": SAVEE,
    "dementiabank": (
        wav(
            "Pitt/Control/cookie/002-0.mp3",
            "Pitt/Control/cookie/002-0.wav",
            "Pitt/Control/fluency/002-0.mp3",
            "Pitt/Dementia/cookie/001-0.mp3",
            "Pitt/Dementia/cookie/002-2.mp3",
            "Pitt/Dementia/cookie/001-0.cha",
        ),
        [
            ("Pitt/Control/cookie/002-0.mp3", "control", "002", None),
            ("Pitt/Dementia/cookie/001-0.mp3", "dementia", "001", None),
            ("Pitt/Dementia/cookie/002-2.mp3", "dementia", "002", None),
        ],
    ),
    "timit_gender": timit("male", "female", "female"),
    "timit_dialect": timit("new england", "new england", "army brat"),
    # 30 and 60 years and so many days, by the calendar: 1956, 1960, ..., 1984 are leap years.
    "timit_age": timit(None, (30 * 365 + 8 - 1 + 1) / 365.25, 60 * 365.25 / 365.25),
    "iemocap_emotion": iemocap("neutral", "happiness", None, "anger"),
    "iemocap_valence": iemocap(2.5, 4.0, 3.0, 1.0),
    "iemocap_activation": iemocap(2.5, 4.5, 3.0, 5.0),
    "iemocap_dominance": iemocap(2.0, 3.0, 3.0, 5.0),
    "librispeech_gender": (
        {
            "LibriSpeech/SPEAKERS.TXT": lines(
                "; Some pretty header",
                ";ID  |SEX| SUBSET           |MINUTES| NAME",
                "60   | M | train-clean-100  | 20.18 | | CBW | Simon",
                "61   | M | test-clean       | 8.08  | Paul-Gabriel Wiener",
                "14   | F | dev-other        | 25.03 | Kristin LeMoine",
            ),
            **wav(
                "LibriSpeech/train-clean-100/60/121082/60-121082-0000.flac",
                "LibriSpeech/train-clean-100/60/121082/60-121082.trans.txt",
                "LibriSpeech/test-clean/61/70968/61-70968-0000.flac",
                "LibriSpeech/dev-other/14/208/14-208-0001.flac",
            ),
        },
        [
            ("LibriSpeech/dev-other/14/208/14-208-0001.flac", "female", "14", "dev"),
            ("LibriSpeech/test-clean/61/70968/61-70968-0000.flac", "male", "61", "test"),
            ("LibriSpeech/train-clean-100/60/121082/60-121082-0000.flac", "male", "60", "train"),
        ],
    ),
    "slurp_intent": SLURP,
    "fluent_intent": FLUENT,
    "aesdd": (
        wav(
            "Acted Emotional Speech Dynamic Database/anger/a01 (1).wav",
            "Acted Emotional Speech Dynamic Database/fear/f18 (5).wav",
            "Acted Emotional Speech Dynamic Database/fear/f18 (5)b.wav",
            "Acted Emotional Speech Dynamic Database/sadness/s05 (3).wav",
        ),
        [
            ("Acted Emotional Speech Dynamic Database/anger/a01 (1).wav", "anger", "1", None),
            ("Acted Emotional Speech Dynamic Database/fear/f18 (5).wav", "fear", "5", None),
            ("Acted Emotional Speech Dynamic Database/fear/f18 (5)b.wav", "fear", "5", None),
        ],
    ),
    "cafe": (
        wav("CaFE/Colère/Faible/01-C-1-1.wav", "CaFE/Colère/Fort/02-C-2-6.aiff", "CaFE/Neutre/12-N-1-1.wav"),
        [
            ("CaFE/Colère/Faible/01-C-1-1.wav", "anger", "01", None),
            ("CaFE/Colère/Fort/02-C-2-6.aiff", "anger", "02", None),
            ("CaFE/Neutre/12-N-1-1.wav", "neutral", "12", None),
        ],
    ),
    "kathbath_speaker": (
        wav(
            "kb/bengali/train/594/844424931537866-594-f.wav",
            "kb/bengali/train/transcription_n2w.txt",
            "kb/bengali/valid/594/844424931537867-594-f.wav",
            "kb/bengali/test_known/844424931537868-594-f.flac",
            "kb/hindi/train/594/844424931537869-594-m.wav",
            "kb/hindi/train/844424931537870-595-m.m4a",
            "kb/hindi/test_unknown/844424931537871-999-m.wav",
        ),
        [
            ("kb/bengali/test_known/844424931537868-594-f.flac", "bengali-594", "bengali-594", "test"),
            ("kb/bengali/train/594/844424931537866-594-f.wav", "bengali-594", "bengali-594", "train"),
            ("kb/bengali/valid/594/844424931537867-594-f.wav", "bengali-594", "bengali-594", "dev"),
            ("kb/hindi/train/594/844424931537869-594-m.wav", "hindi-594", "hindi-594", "train"),
        ],
    ),
    "football_keywords": (
        wav("FKD/Train/Corner/1.ogg", "FKD/test/goal/1.OGG", "FKD/Test/Unknown/9.ogg", "FKD/Test/silence/9.ogg"),
        [
            ("FKD/Train/Corner/1.ogg", "corner", "?FKD/Train/Corner/1.ogg", "train"),
            ("FKD/test/goal/1.OGG", "goal", "?FKD/test/goal/1.OGG", "test"),
        ],
    ),
    "cn_celeb": CN_CELEB,
}
