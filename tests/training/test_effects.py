"""Each effect against its definition."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from trill.training import effects

RATE = 16_000
WINDOW = 15_600
SOUNDS = [np.random.default_rng(8).normal(0, 0.1, size).astype(np.float32) for size in (900, 20_000)]
BINS_HZ = np.fft.rfftfreq(WINDOW, 1 / RATE)
rates = pytest.mark.parametrize("rate", [8_000, 16_000])

anything = np.random.default_rng(0).uniform(-0.5, 0.5, WINDOW).astype(np.float32)
impulse = np.zeros(WINDOW, np.float32)
impulse[WINDOW // 2] = 1


def generator(seed=1):
    return np.random.default_rng(seed)


def tone(hertz, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * np.arange(WINDOW) / RATE)).astype(np.float32)


def mel(hertz):
    """The HTK mel scale."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def hertz_of(mels):
    return 700 * (10 ** (np.asarray(mels) / 2595) - 1)


def rms(waveform):
    return np.sqrt(np.mean(np.float64(waveform) ** 2))


def decibels(ratio):
    return 20 * np.log10(ratio)


def response(augmentation, seed=1):
    """The gain of a filter at `BINS_HZ`: the spectrum of what it makes of an impulse."""
    return np.abs(np.fft.rfft(np.float64(augmentation(impulse, generator(seed)))))


# Gain


def test_gain_is_the_drawn_number_of_decibels():
    gains = [
        decibels(rms(effects.gain(low_db=-15, high_db=6)(anything, generator(k))) / rms(anything)) for k in range(40)
    ]
    np.testing.assert_allclose(gains, [generator(k).uniform(-15, 6) for k in range(40)], atol=1e-4)


# Noise


@pytest.mark.parametrize("sound", SOUNDS, ids=["short", "long"])
@pytest.mark.parametrize("snr_db", [-5, 0, 20])
def test_noise_has_the_drawn_ratio(sound, snr_db):
    added = effects.noise([sound], low_snr_db=snr_db, high_snr_db=snr_db)(anything, generator()) - anything
    assert decibels(rms(anything) / rms(added)) == pytest.approx(snr_db, abs=1e-3)


@pytest.mark.parametrize(("size", "stretches"), [(5, ["012", "123", "234"]), (3, ["012"]), (2, ["010", "101"])])
def test_noise_is_a_stretch_of_the_sound_from_anywhere(size, stretches):
    sound, waveform = np.arange(1, size + 1, dtype=np.float32) / 10, np.full(3, 0.1, np.float32)
    heard = set()
    for seed in range(60):
        added = effects.noise([sound], low_snr_db=0, high_snr_db=0)(waveform, generator(seed)) - waveform
        heard.add(" ".join(f"{level:.3f}" for level in added / rms(added)))
    scaled = [sound[[int(k) for k in stretch]] / rms(sound[[int(k) for k in stretch]]) for stretch in stretches]
    assert heard == {" ".join(f"{level:.3f}" for level in stretch) for stretch in scaled}


def test_noise_is_of_any_of_the_sounds():
    constant, changing = np.ones(10, np.float32), np.float32([1, -1])
    added = [effects.noise([constant, changing])(anything, generator(seed)) - anything for seed in range(60)]
    assert 20 <= sum(np.ptp(stretch) < 1e-6 for stretch in added) <= 40


@pytest.mark.parametrize("dtype", [np.int16, np.float64])
def test_noise_of_another_type_is_heard_as_float32(dtype):
    out = effects.noise([np.arange(-50, 50, dtype=dtype)])(anything, generator())
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, effects.noise([np.arange(-50, 50, dtype=np.float32)])(anything, generator()))


@pytest.mark.parametrize("silent", [0, 1e-5])
def test_noise_leaves_the_window_where_a_level_means_nothing(silent):
    hush = np.full(WINDOW, silent, np.float32)
    np.testing.assert_array_equal(effects.noise(SOUNDS)(hush, generator()), hush)
    np.testing.assert_array_equal(effects.noise([hush])(anything, generator()), anything)


@pytest.mark.parametrize("sound", [np.zeros(0, np.float32), np.zeros((2, 100), np.float32)])
def test_noise_says_what_it_takes(sound):
    with pytest.raises(ValueError, match=r"noise must be non-empty vectors, got shape .*trill\.audio\.read"):
        effects.noise([sound])


# Reverberation

ROOM = {"low_seconds": 0.3, "high_seconds": 0.3, "low_ratio_db": 3, "high_ratio_db": 3}
first = np.eye(1, WINDOW, dtype=np.float32)[0]


def rooms(waveform, seeds, **settings):
    """`(seeds, samples)`: what rooms make of a waveform, over the direct sound of an impulse at 0."""
    return np.float64([effects.reverberation(**ROOM | settings)(waveform, generator(seed)) for seed in range(seeds)])


def test_reverberation_falls_by_60_db_in_its_seconds():
    tails = rooms(first, seeds=100) / rooms(first, seeds=100)[:, :1]
    blocks = (tails[:, 1:4801] ** 2).reshape(100, 48, 100).mean(axis=(0, 2))  # over 0.3 s
    slope = np.polyfit(np.arange(48) / 48, 10 * np.log10(blocks), 1)[0]
    assert slope == pytest.approx(-60, abs=0.6)
    assert (tails[:, 4801:] ** 2).max() < 1e-11


@pytest.mark.parametrize("ratio_db", [-3, 12])
def test_reverberation_has_the_drawn_ratio_of_direct_sound(ratio_db):
    energies = rooms(first, seeds=100, low_ratio_db=ratio_db, high_ratio_db=ratio_db) ** 2
    assert 10 * np.log10((energies[:, 0] / energies[:, 1:].sum(axis=1).T).mean()) == pytest.approx(ratio_db, abs=0.2)


@pytest.mark.parametrize("seconds", [0.1, 3], ids=["short", "longer than the window"])
def test_reverberation_convolves_and_keeps_the_level(seconds):
    short, click = anything[:3000], first[:3000]
    augmentation = effects.reverberation(**ROOM | {"low_seconds": seconds, "high_seconds": seconds})
    wet = np.convolve(np.float64(short), augmentation(click, generator()))[:3000]
    out = augmentation(short, generator())
    np.testing.assert_allclose(out, wet * rms(short) / rms(wet), atol=1e-5)
    assert rms(out) == pytest.approx(rms(short), rel=1e-5)


def test_the_tail_is_noise():
    """As often above zero as below, and each room another."""
    tails = rooms(first, seeds=2)[:, 1:3000]
    assert abs(np.mean(tails > 0) - 0.5) < 0.05
    assert abs(np.corrcoef(tails)[0, 1]) < 0.1


# Filters


@rates
@pytest.mark.parametrize("seed", range(5))
def test_band_limit_keeps_the_drawn_band(seed, rate):
    draw = generator(seed)
    low, high = draw.uniform(0, 1000), draw.uniform(3000, rate / 2)
    gains = response(effects.band_limit(low_hz=1000, high_hz=3000, sample_rate=rate), seed)
    mels = mel(np.fft.rfftfreq(WINDOW, 1 / rate))
    assert (np.abs(gains[(mels > mel(low)) & (mels < mel(high))] - 1) < 0.02).all()
    assert (gains[(mels < mel(low) - 21) | (mels > mel(high) + 21)] < 0.02).all()
    assert (gains[(mels < mel(low) - 60) | (mels > mel(high) + 60)] < 0.002).all()


def test_band_limit_keeps_at_least_what_it_is_told():
    for seed in range(20):
        out = effects.band_limit(low_hz=300, high_hz=3400)(tone(350) + tone(3300, 0.1), generator(seed))
        np.testing.assert_allclose(out[500:-500], (tone(350) + tone(3300, 0.1))[500:-500], atol=0.02)


@rates
@pytest.mark.parametrize("seed", range(5))
def test_mask_frequency_silences_the_drawn_bands(seed, rate):
    gains = response(effects.mask_frequency(max_mels=600, count=2, sample_rate=rate), seed)
    draw = generator(seed)
    widths = draw.uniform(0, 600, (2, 1))[:, 0]
    lows = draw.uniform(0, mel(rate / 2) - widths[:, None])[:, 0]
    mels = mel(np.fft.rfftfreq(WINDOW, 1 / rate))
    within = [(low - 1 < mels) & (mels < low + width + 1) for low, width in zip(lows, widths, strict=True)]
    deep = [(low + 20 < mels) & (mels < low + width - 20) for low, width in zip(lows, widths, strict=True)]
    assert np.any(deep)
    assert (gains[np.any(deep, axis=0)] < 0.03).all()
    assert (np.abs(gains[~np.any(within, axis=0)] - 1) < 0.03).all()


def test_mask_frequency_reaches_every_band_and_no_more_than_its_share():
    """The share of the mel axis under half gain: a width of `max_mels / 2` on average, less the edge."""
    even = np.interp(np.linspace(0, mel(8000), 2840), mel(BINS_HZ), np.arange(BINS_HZ.size)).round().astype(int)
    masked = np.array(
        [response(effects.mask_frequency(max_mels=800, count=1), seed)[even] < 0.5 for seed in range(200)]
    )
    assert masked.sum(axis=1).max() <= 800
    assert masked.sum(axis=1).mean() == pytest.approx(400 - 20, abs=50)  # three standard errors of 800 / sqrt(12 * 200)
    assert masked.any(axis=0)[30:-30].all()


@rates
def test_equalise_draws_at_the_knots_and_joins_in_decibels(rate):
    gains_db = decibels(response(effects.equalise(max_db=12, points=5, sample_rate=rate)))
    drawn = generator().uniform(-12, 12, 5)
    at = hertz_of(np.linspace(0, mel(rate / 2), 9))  # the knots and half way between
    expected = np.interp(np.arange(9), np.arange(0, 9, 2), drawn)
    found = np.interp(at, np.fft.rfftfreq(WINDOW, 1 / rate), gains_db)
    np.testing.assert_allclose(found[1:-1], expected[1:-1], atol=0.3)
    np.testing.assert_allclose(gains_db[[1, -1]], drawn[[0, -1]], atol=0.5)


@pytest.mark.parametrize("name", ["band_limit", "mask_frequency", "equalise"])
def test_a_filter_neither_delays_nor_wraps_around(name):
    out = getattr(effects, name)()(impulse, generator())
    assert np.abs(out).argmax() == WINDOW // 2
    np.testing.assert_allclose(out[WINDOW // 2 + 1 :], out[WINDOW // 2 - 1 : 0 : -1], atol=1e-5)
    at_start = getattr(effects, name)()(first, generator())
    assert np.abs(at_start[-100:]).max() < 1e-3


# Formants


def vowel(rate, pitch_hz=110):
    """Pulses through resonances, and their place."""
    places = np.array([600, 1_700, 2_900])
    sound = np.zeros(rate)
    sound[:: rate // pitch_hz] = 1
    for hertz in places:
        radius = np.exp(-np.pi * 80 / rate)
        sound = scipy.signal.lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hertz / rate), radius**2], sound)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32), places


def envelope_peaks(sound, rate, places):
    """The strongest harmonic's neighbourhood, centre of gravity, about each place."""
    power, hertz = np.abs(np.fft.rfft(sound)) ** 2, np.fft.rfftfreq(len(sound), 1 / rate)
    near = [np.abs(hertz - place) < 220 for place in places]
    return np.array([(hertz[some] * power[some]).sum() / power[some].sum() for some in near])


@rates
@pytest.mark.parametrize("factor", [0.85, 1.0, 1.2])
def test_formants_move_and_the_pitch_stays(rate, factor):
    sound, places = vowel(rate)
    moved = effects.formants(low=factor, high=factor, sample_rate=rate)(sound, generator())
    assert moved.dtype == np.float32
    found = envelope_peaks(moved, rate, places * factor)
    np.testing.assert_allclose(found, places * factor, rtol=0.06)
    period = rate // 110
    likeness = [np.dot(moved[:-lag], moved[lag:]) for lag in range(period - 20, period + 21)]
    assert np.argmax(likeness) == 20


def test_formants_left_where_they_are_are_the_sound():
    same = effects.formants(low=1.0, high=1.0)
    np.testing.assert_allclose(same(anything, generator()), anything, atol=1e-6)
    assert not same(np.zeros(700, np.float32), generator()).any()
    assert same(anything[:5], generator()).shape == (5,)


# Codec


def companded(waveform):
    """ITU-T G.711 mu-law, its continuous form, in float64."""
    waveform = np.clip(np.float64(waveform), -1, 1)
    return np.sign(waveform) * np.log(1 + 255 * np.abs(waveform)) / np.log(256)


def expanded(value):
    return np.sign(value) * (256 ** np.abs(value) - 1) / 255


@given(bits=st.integers(2, 16), seed=st.integers(0, 99), level=st.sampled_from([1e-4, 0.01, 1.2]))
def test_mu_law_takes_the_nearest_step_of_the_companded_axis(bits, seed, level):
    waveform = generator(seed).uniform(-level, level, 200).astype(np.float32)
    out = effects.mu_law(waveform, bits)
    steps = 2 ** (bits - 1) - 1
    nearest = np.rint(companded(waveform) * steps) / steps
    off = np.abs(np.abs(companded(waveform) * steps % 1) - 0.5) < 1e-2  # between two, float32 may take either
    np.testing.assert_allclose(out[~off], expanded(nearest)[~off], rtol=1e-5, atol=1e-8)
    assert (np.abs(companded(out) - companded(waveform)) <= 0.51 / steps).all()


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_mu_law_has_as_many_values_as_its_bits(bits):
    values = np.unique(effects.mu_law(np.linspace(-1, 1, 200_001, dtype=np.float32), bits))
    assert values.size == 2**bits - 1
    assert values.min() == pytest.approx(-1)
    assert 0 in values


@pytest.mark.parametrize("level_db", [0, -10, -20, -30])
def test_eight_bits_sound_as_a_telephone_does(level_db):
    """About 38 dB above the quantisation noise, whatever the level: Rabiner & Schafer 1978, section 5.3.3."""
    waveform = tone(1003, 10 ** (level_db / 20))
    assert decibels(rms(waveform) / rms(effects.mu_law(waveform, 8) - waveform)) == pytest.approx(37.5, abs=1.5)


def test_codec_is_band_then_steps_then_band():
    """Nothing is heard outside the voice band, the steps' own noise included; inside there are 5 to 8 bits of it."""
    outs = [effects.codec()(anything, generator(seed)) for seed in range(20)]
    for out in outs:
        spectrum = np.abs(np.fft.rfft(out * np.hanning(WINDOW)))
        inside = (BINS_HZ > 320) & (BINS_HZ < 3380)
        assert spectrum[(BINS_HZ < 250) | (BINS_HZ > 3550)].max() < 1e-3 * spectrum[inside].mean()
    clean = effects.codec(low_bits=16, high_bits=16)(anything, generator())
    errors = sorted({round(float(decibels(rms(clean) / rms(out - clean)))) for out in outs})
    assert len(errors) == 4
    np.testing.assert_allclose(np.diff(errors), 6, atol=1.5)  # 6 dB a bit


def test_codec_hears_nothing_outside_the_band_before_its_steps():
    """A loud tone above the band would make the steps coarse for a soft one inside."""
    soft, codec = tone(1000, 0.01), effects.codec(low_bits=8, high_bits=8)
    alone, beside = (codec(waveform, generator())[500:-500] for waveform in (soft, soft + tone(6000, 0.9)))
    assert rms(beside - alone) < 0.01 * rms(soft)


# Masks in time


def test_mask_time_silences_stretches_and_touches_nothing_else():
    ones = np.ones(WINDOW, np.float32)
    stretches = set()
    for seed in range(30):
        masked = effects.mask_time(max_seconds=0.1, count=3)(ones, generator(seed))
        assert set(np.unique(masked)) == {0, 1}
        starts = np.flatnonzero(np.diff(masked, prepend=1) == -1)
        stretches.add(starts.size)
        assert (masked == 0).sum() <= 3 * 1600
    assert max(stretches) == 3


def test_mask_time_draws_every_length_and_place_alike():
    ones = np.ones(WINDOW, np.float32)
    masked = np.array([effects.mask_time(max_seconds=0.2, count=1)(ones, generator(seed)) == 0 for seed in range(400)])
    shares = masked.sum(axis=1)
    assert shares.max() <= 3200
    assert shares.mean() == pytest.approx(1600, abs=140)  # three standard errors of 3200 / sqrt(12 * 400)
    assert shares.min() < 100
    assert shares.max() > 3100
    assert masked[:, 3200:-3200].mean() == pytest.approx(1600 / (WINDOW - 1600), abs=0.03)


@pytest.mark.parametrize("most", [2, 4])
def test_mask_time_reaches_both_ends_and_may_take_all(most):
    cover = effects.mask_time(max_seconds=most / 5, count=1, sample_rate=5)
    masked = np.array([cover(np.ones(4, np.float32), generator(seed)) == 0 for seed in range(200)])
    assert masked.any(axis=0).all()
    assert set(masked.sum(axis=1)) == set(range(most + 1))


# Speed


def test_twice_the_speed_is_every_other_sample_then_zeros():
    out = effects.speed(low=2, high=2)(tone(440), generator())
    np.testing.assert_allclose(out[200:7600], tone(440)[400:15_200:2], atol=2e-3)
    assert not out[7800:].any()


def test_half_the_speed_is_the_first_half():
    out = effects.speed(low=0.5, high=0.5)(tone(440), generator())
    np.testing.assert_allclose(out[400::2], tone(440)[200:7800], atol=2e-3)


def test_what_would_fold_back_is_gone():
    out = effects.speed(low=2, high=2)(tone(6000), generator())
    assert rms(out[200:7600]) < 2e-3


@pytest.mark.parametrize("length", [1, 2, 1_000, 16_001])
@pytest.mark.parametrize("factor", [0.25, 0.8, 1.25, 4])
def test_a_whole_clip_is_played_to_its_end(length, factor):
    clip = np.hanning(length + 2)[1:-1].astype(np.float32)
    out = effects.speed(low=factor, high=factor, whole=True)(clip, generator())
    assert out.dtype == np.float32
    assert out.size == pytest.approx(max(1, length / factor), rel=0.05, abs=0.6)
    if length >= 1_000:  # its shape, and its end
        played = np.interp(np.linspace(0, 1, length), np.linspace(0, 1, out.size), out)
        np.testing.assert_allclose(played, clip, atol=0.01)


def test_of_a_whole_clip_a_window_hears_the_same():
    clip = tone(440)
    for factor in (0.8, 1.25):
        whole = effects.speed(low=factor, high=factor, whole=True)(clip, generator())
        window = effects.speed(low=factor, high=factor)(clip, generator())
        assert window.size == clip.size
        shared = min(whole.size, window.size)
        np.testing.assert_array_equal(window[:shared], whole[:shared])


@pytest.mark.parametrize("seed", range(8))
def test_speed_moves_a_tone_by_the_drawn_factor(seed):
    out = effects.speed(low=0.7, high=1.4)(tone(1000), generator(seed))
    heard = out[: np.flatnonzero(out)[-1]]
    phase = np.unwrap(
        np.angle(np.convolve(heard, np.exp(2j * np.pi * 0.0625 * np.arange(64)) * np.hanning(64), "valid"))
    )
    slope = np.polyfit(np.arange(phase.size - 400), phase[200:-200], 1)[0] * RATE / (2 * np.pi)
    factor = generator(seed).uniform(0.7, 1.4)
    assert slope / 1000 == pytest.approx(factor, rel=5e-3)
    assert heard.size == pytest.approx(min(WINDOW, WINDOW / factor), rel=5e-3)
