// Runs in the audio thread: hands every 1/8 second of the first channel to the page.
class Microphone extends AudioWorkletProcessor {
  chunk = new Float32Array(Math.round(sampleRate / 8));
  filled = 0;

  process([[channel]]) {
    for (const sample of channel ?? []) {
      this.chunk[this.filled++] = sample;
      if (this.filled === this.chunk.length) {
        this.port.postMessage(this.chunk);
        this.filled = 0;
      }
    }
    return true;
  }
}
registerProcessor("microphone", Microphone);
