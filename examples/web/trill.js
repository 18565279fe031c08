// A model file in a browser: read its card, check its hash, cut sound into windows, embed, compare.
// The contract is docs/on-device.md.

/** Start of every window of a sound, in samples. */
export function windowStarts(numSamples, window, hop) {
  const whole = 1 + Math.floor(Math.max(0, numSamples - window) / hop);
  const unseen = numSamples - Math.max(whole * hop, (whole - 1) * hop + window);
  const count = whole + (2 * unseen >= Math.min(hop, window) ? 1 : 0);
  return Array.from({ length: count }, (_, index) => index * hop);
}

/** Mean of rows of equal length, summed in float64. */
export function meanPool(rows) {
  const sum = new Float64Array(rows[0].length);
  for (const row of rows) row.forEach((value, i) => (sum[i] += value));
  return Float32Array.from(sum, (value) => value / rows.length);
}

/** Likeness of two embeddings, at most 1. */
export function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b) || 1);
}

/** The flatbuffer and the card of a model file: the zip behind the flatbuffer holds trill.json, stored. */
export async function readModel(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const end = bytes.byteLength - 22; // end of central directory, without comment
    if (view.getUint32(end, true) !== 0x06054b50) throw new Error("no zip at its end");
    const directory = end - view.getUint32(end + 12, true);
    const archive = directory - view.getUint32(end + 16, true); // offsets count from where the archive starts
    const text = (start, length) => new TextDecoder().decode(bytes.subarray(start, start + length));
    let row = directory;
    const field = (offset) => view.getUint16(row + offset, true);
    while (text(row + 46, field(28)) !== "trill.json") row += 46 + field(28) + field(30) + field(32);
    const header = archive + view.getUint32(row + 42, true);
    const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
    const { format, flatbuffer_bytes: length, card } = JSON.parse(text(start, view.getUint32(row + 24, true)));
    if (format !== 1) throw new Error(`format ${format}, this page reads 1`);
    const flatbuffer = bytes.subarray(0, length);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", flatbuffer));
    const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (sha256 !== card.sha256) throw new Error("it was altered after it was written");
    return { flatbuffer, card };
  } catch (error) {
    throw new Error(`This is no model file of trill-speech, or was cut short (${error.message}). Copy it again.`);
  }
}

/**
 * Load a model file.
 *
 * @param {string} url of the model file.
 * @param {string} wasm folder of the runtime: node_modules/@litertjs/core/wasm/.
 * @returns {{card, identity: string, embed: (waveform: Float32Array) => Promise<{embedding, starts, milliseconds}>}}
 */
export async function loadEmbedder(url, wasm) {
  // Browsers hash, and hand out microphones, only there.
  if (!globalThis.crypto?.subtle) throw new Error("This page needs https, or localhost. Serve it from there.");
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} is not there (${response.status}). Copy the model file beside the page.`);
  const { flatbuffer, card } = await readModel(new Uint8Array(await response.arrayBuffer()));
  const { loadLiteRt, loadAndCompile, Tensor } = await import("@litertjs/core");
  await loadLiteRt(wasm);
  const model = await loadAndCompile(flatbuffer, { accelerator: "wasm" });
  const { window_samples: window, hop_samples: hop } = card;

  async function embedWindow(samples) {
    const input = new Tensor(samples, [1, window]);
    const outputs = await model.run({ waveform: input });
    const row = Float32Array.from(await outputs.embedding.data());
    for (const tensor of [input, ...Object.values(outputs)]) tensor.delete(); // the runtime frees nothing by itself
    return row;
  }

  return {
    card,
    identity: `${card.name}-${card.version}-${card.sha256.slice(0, 8)}`,
    async embed(waveform) {
      if (!waveform.length) throw new Error("There is no sound in it.");
      const starts = windowStarts(waveform.length, window, hop);
      const rows = [];
      const began = performance.now();
      for (const start of starts) {
        const samples = new Float32Array(window); // what is past the end stays zero
        samples.set(waveform.subarray(start, start + window));
        rows.push(await embedWindow(samples));
      }
      return { embedding: meanPool(rows), starts, milliseconds: (performance.now() - began) / starts.length };
    },
  };
}
