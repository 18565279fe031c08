/* Embeds a 16 kHz mono 16-bit WAV as trill.embed does: embed MODEL.tflite CLIP.wav
 *
 * Prints the pooled embedding, a value a line. The only library is any one that exports the TFLite C API (2.16 or
 * later); the contract is docs/on-device.md. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What we use of tensorflow/lite/c/c_api.h: include that instead where your library comes with it. */
typedef struct TfLiteModel TfLiteModel;
typedef struct TfLiteInterpreterOptions TfLiteInterpreterOptions;
typedef struct TfLiteInterpreter TfLiteInterpreter;
typedef struct TfLiteSignatureRunner TfLiteSignatureRunner;
typedef struct TfLiteTensor TfLiteTensor;
TfLiteModel *TfLiteModelCreateFromFile(const char *path);
TfLiteInterpreterOptions *TfLiteInterpreterOptionsCreate(void);
void TfLiteInterpreterOptionsSetNumThreads(TfLiteInterpreterOptions *, int32_t threads);
TfLiteInterpreter *TfLiteInterpreterCreate(const TfLiteModel *, const TfLiteInterpreterOptions *);
TfLiteSignatureRunner *TfLiteInterpreterGetSignatureRunner(const TfLiteInterpreter *, const char *key);
int TfLiteSignatureRunnerAllocateTensors(TfLiteSignatureRunner *);
TfLiteTensor *TfLiteSignatureRunnerGetInputTensor(TfLiteSignatureRunner *, const char *name);
const TfLiteTensor *TfLiteSignatureRunnerGetOutputTensor(const TfLiteSignatureRunner *, const char *name);
int TfLiteSignatureRunnerInvoke(TfLiteSignatureRunner *);
int TfLiteTensorCopyFromBuffer(TfLiteTensor *, const void *, size_t bytes);
int TfLiteTensorCopyToBuffer(const TfLiteTensor *, void *, size_t bytes);
size_t TfLiteTensorByteSize(const TfLiteTensor *);

enum { RATE = 16000, WINDOW = 15600, HOP = 15360 }; /* the model's card: unzip -p MODEL.tflite trill.json */

static void fail(const char *path, const char *rule) {
  fprintf(stderr, "%s: %s\n", path, rule);
  exit(1);
}

/* Windows start at 0, HOP, 2 HOP, ... while a whole one fits; one more, zero-padded, where it would see at least half a
 * hop of sound that no whole window has seen. (HOP <= WINDOW here.) */
static long num_windows(long samples) {
  long whole = samples < WINDOW ? 1 : 1 + (samples - WINDOW) / HOP;
  long unseen = samples - ((whole - 1) * HOP + WINDOW);
  return whole + (2 * unseen >= HOP);
}

static uint32_t little_endian(const unsigned char *bytes, int count) {
  return count ? bytes[0] | little_endian(bytes + 1, count - 1) << 8 : 0;
}

/* Samples over 32768, so in [-1, 1). */
static float *read_wav(const char *path, long *num_samples) {
  FILE *file = fopen(path, "rb");
  unsigned char header[16];
  if (!file) fail(path, "cannot be opened. Check the path.");
  if (fread(header, 1, 12, file) < 12 || memcmp(header, "RIFF", 4) || memcmp(header + 8, "WAVE", 4))
    fail(path, "is no WAV file. Convert it: ffmpeg -i IN -ar 16000 -ac 1 OUT.wav");
  for (int known = 0; fread(header, 1, 8, file) == 8;) {
    uint32_t size = little_endian(header + 4, 4);
    if (!memcmp(header, "data", 4) && known) {
      float *waveform = malloc((size / 2 + 1) * sizeof *waveform);
      if (!waveform) fail(path, "is too long for this machine's memory.");
      for (*num_samples = 0; *num_samples < (long)(size / 2) && fread(header, 1, 2, file) == 2; ++*num_samples)
        waveform[*num_samples] = (int16_t)little_endian(header, 2) / 32768.0f;
      if (!*num_samples) fail(path, "holds no sound.");
      fclose(file);
      return waveform;
    }
    if (!memcmp(header, "fmt ", 4) && size >= 16 && fread(header, 1, 16, file) == 16) {
      known = little_endian(header, 2) == 1 && little_endian(header + 2, 2) == 1 &&
              little_endian(header + 4, 4) == RATE && little_endian(header + 14, 2) == 16;
      if (!known) fail(path, "must be 16 kHz, mono, 16 bit. Convert it: ffmpeg -i IN -ar 16000 -ac 1 OUT.wav");
      size -= 16;
    }
    fseek(file, size + (size & 1), SEEK_CUR); /* chunks are padded to even sizes */
  }
  fail(path, "holds no sound.");
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) fail(argv[0], "takes a model and a sound: embed MODEL.tflite CLIP.wav");
  long num_samples;
  float *waveform = read_wav(argv[2], &num_samples);

  TfLiteModel *model = TfLiteModelCreateFromFile(argv[1]);
  TfLiteInterpreterOptions *options = TfLiteInterpreterOptionsCreate();
  TfLiteInterpreterOptionsSetNumThreads(options, 1);
  TfLiteInterpreter *interpreter = model ? TfLiteInterpreterCreate(model, options) : NULL;
  TfLiteSignatureRunner *runner =
      interpreter ? TfLiteInterpreterGetSignatureRunner(interpreter, "serving_default") : NULL;
  if (!runner || TfLiteSignatureRunnerAllocateTensors(runner)) fail(argv[1], "is no model that this library can run.");
  TfLiteTensor *input = TfLiteSignatureRunnerGetInputTensor(runner, "waveform");
  const TfLiteTensor *output = TfLiteSignatureRunnerGetOutputTensor(runner, "embedding");
  float window[WINDOW];
  if (!input || !output || TfLiteTensorByteSize(input) != sizeof window)
    fail(argv[1], "must take \"waveform\", one window of 15600 floats, and give \"embedding\".");

  long dim = TfLiteTensorByteSize(output) / sizeof(float), count = num_windows(num_samples);
  float *row = malloc(dim * sizeof *row);
  double *sum = calloc(dim, sizeof *sum);
  if (!row || !sum) fail(argv[1], "has embeddings too long for this machine's memory.");
  clock_t begin = clock();
  for (long index = 0; index < count; ++index) {
    long start = index * HOP, length = num_samples - start < WINDOW ? num_samples - start : WINDOW;
    memset(window, 0, sizeof window);
    memcpy(window, waveform + start, length * sizeof *window);
    if (TfLiteTensorCopyFromBuffer(input, window, sizeof window) || TfLiteSignatureRunnerInvoke(runner) ||
        TfLiteTensorCopyToBuffer(output, row, dim * sizeof *row))
      fail(argv[1], "failed on a window.");
    for (long i = 0; i < dim; ++i) sum[i] += row[i];
  }
  fprintf(stderr, "%ld windows, %.2f ms each\n", count, 1e3 * (clock() - begin) / CLOCKS_PER_SEC / count);
  for (long i = 0; i < dim; ++i) printf("%.9g\n", sum[i] / count);
  return 0; /* the system takes back what we hold; a library would call the matching ...Delete functions */
}
