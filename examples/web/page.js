// The page: sound in, level, picture and likeness out. What embeds is trill.js.
import { cosine, loadEmbedder } from "./trill.js";

const SECONDS = 4; // of the microphone, looked at together
const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((node) => [node.id, node]));
const kept = []; // { name, embedding }
let embedder, current, microphone;
let turns = 0;

/** Run what may fail, and say so where it does. */
async function attempt(action) {
  element.error.hidden = true;
  try {
    return await action();
  } catch (error) {
    element.error.textContent = error.message;
    element.error.hidden = false;
  }
}

async function openFile(file) {
  if (!file || !embedder) return;
  await stopMicrophone();
  const context = new OfflineAudioContext(1, 1, embedder.card.sample_rate); // decoding resamples to its rate
  const sound = await context.decodeAudioData(await file.arrayBuffer()).catch(() => {
    throw new Error(`“${file.name}” is no sound that this browser can read. Try a WAV, MP3 or FLAC file.`);
  });
  await hear(mono(sound), file.name);
}

/** Channels averaged, what passes full scale clipped. */
function mono(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, index) => sound.getChannelData(index));
  return channels[0].map((_, i) => {
    const mean = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
    return Math.max(-1, Math.min(1, mean));
  });
}

async function startMicrophone() {
  const context = new AudioContext({ sampleRate: embedder.card.sample_rate }); // the browser resamples
  microphone = { context };
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  microphone.stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
    const reasons = {
      NotAllowedError: "The microphone was refused. Allow it in the browser's settings of this page.",
      NotFoundError: "There is no microphone. Plug one in, or open a sound file.",
    };
    throw new Error(reasons[error.name] ?? `The microphone does not start: ${error.message}`);
  });
  await context.audioWorklet.addModule("microphone.js");
  const worklet = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0 });
  let heard = new Float32Array(0);
  let busy = false;
  let fresh = 0;
  worklet.port.onmessage = async ({ data }) => {
    showLevel(data);
    const limit = SECONDS * context.sampleRate;
    heard = Float32Array.from([...heard, ...data].slice(-limit));
    fresh += data.length;
    if (busy || !microphone || heard.length < embedder.card.window_samples || fresh < context.sampleRate / 2) return;
    [busy, fresh] = [true, 0];
    await attempt(() => hear(heard, "microphone", false));
    busy = false;
  };
  context.createMediaStreamSource(microphone.stream).connect(worklet);
  setPressed(true);
}

async function stopMicrophone() {
  const stopped = microphone;
  microphone = undefined;
  setPressed(false);
  stopped?.stream?.getTracks().forEach((track) => track.stop());
  await stopped?.context.close();
}

function setPressed(on) {
  element.microphone.setAttribute("aria-pressed", on);
  element.microphone.textContent = on ? "Stop microphone" : "Start microphone";
}

async function hear(waveform, source, whole = true) {
  const turn = ++turns;
  const { embedding, starts, milliseconds } = await embedder.embed(waveform);
  if (turn !== turns) return; // something newer was heard meanwhile
  current = embedding;
  if (whole) showLevel(waveform);
  const seconds = (waveform.length / embedder.card.sample_rate).toFixed(1);
  const windows = `${starts.length} window${starts.length > 1 ? "s" : ""}`;
  element.facts.textContent = `${source}: ${seconds} s, ${windows}, ${milliseconds.toFixed(1)} ms each.`;
  element.enrol.querySelector("button").disabled = false;
  showPicture();
  showKept();
}

function showLevel(waveform) {
  const power = waveform.reduce((sum, sample) => sum + sample * sample, 0) / waveform.length;
  const decibels = 10 * Math.log10(power + 1e-12);
  element.level.value = decibels;
  element.decibels.textContent = decibels > -60 ? `${decibels.toFixed(0)} dBFS` : "silent";
}

/** Square roots of the values, over the largest: a grid twice as wide as high. */
function showPicture() {
  const canvas = element.picture;
  canvas.height = Math.round(Math.sqrt(current.length / 2));
  canvas.width = Math.ceil(current.length / canvas.height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const largest = current.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  current.forEach((value, i) => {
    const shade = Math.sqrt(Math.abs(value) / largest);
    image.data.set([250 * shade ** 1.5, 40 + 190 * shade, 70 + 90 * shade * (1 - shade) + 60 * shade, 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
  canvas.setAttribute("aria-label", `Embedding of ${current.length} values, the largest ${largest.toPrecision(3)}`);
}

function showKept() {
  const rows = kept.map((sound) => ({ ...sound, score: cosine(sound.embedding, current) }));
  rows.sort((a, b) => b.score - a.score);
  element.kept.replaceChildren(
    ...rows.map(({ name, score }) => {
      const row = document.createElement("tr");
      row.innerHTML = `<th scope="row"></th><td class="bar"><progress max="1"></progress></td>
        <td class="number"></td><td><button type="button">Forget</button></td>`;
      row.querySelector("th").textContent = name;
      row.querySelector("progress").value = Math.max(0, score);
      row.querySelector("progress").setAttribute("aria-label", `Likeness to ${name}`);
      row.querySelector(".number").textContent = score.toFixed(3);
      row.querySelector("button").setAttribute("aria-label", `Forget ${name}`);
      row.querySelector("button").onclick = () => {
        kept.splice(kept.findIndex((sound) => sound.name === name), 1);
        showKept();
      };
      return row;
    }),
  );
  element.kept.closest("table").hidden = !rows.length;
}

element.microphone.onclick = async () => {
  element.microphone.disabled = true;
  if (microphone) await stopMicrophone();
  else await attempt(() => startMicrophone().catch((error) => stopMicrophone().then(() => Promise.reject(error))));
  element.microphone.disabled = false;
};
element.file.onchange = () => attempt(() => openFile(element.file.files[0]));
element.drop.ondragover = (event) => {
  event.preventDefault();
  element.drop.classList.add("over");
};
element.drop.ondragleave = () => element.drop.classList.remove("over");
element.drop.ondrop = (event) => {
  event.preventDefault();
  element.drop.classList.remove("over");
  attempt(() => openFile(event.dataTransfer.files[0]));
};
element.enrol.onsubmit = (event) => {
  event.preventDefault();
  const name = element.name.value.trim();
  const index = kept.findIndex((sound) => sound.name === name);
  kept.splice(index < 0 ? kept.length : index, 1, { name, embedding: current });
  element.name.value = "";
  showKept();
};

await attempt(async () => {
  embedder = await loadEmbedder("model.tflite", new URL("node_modules/@litertjs/core/wasm/", document.baseURI).href);
  const { card, identity } = embedder;
  element.status.textContent = `Ready: ${identity}, ${card.taps.embedding[0]} values a window.`;
  element.microphone.disabled = element.file.disabled = false;
});
if (!embedder) element.status.textContent = "Not ready.";
globalThis.trillEmbedder = embedder; // for the console and the tests
