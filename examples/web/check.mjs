// Drives the page in headless Chromium as a person would and checks it against golden vectors:
//   node check.mjs URL GOLDEN.json SPEECH.wav OTHER.wav [SCREENSHOT_PREFIX]
// Prints what it found as JSON; exits with 1 where something does not hold. CHROMIUM names another executable.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [url, golden, speech, other, screenshots] = process.argv.slice(2);
const { cases, tolerance } = JSON.parse(readFileSync(golden));

const makers = {
  int16: ({ samples }) => samples,
  square: ({ num_samples: n, half_period: half, level }) =>
    Array.from({ length: n }, (_, i) => (Math.floor(i / half) % 2 ? -level : level)),
  noise({ num_samples: n, seed, divisor }) {
    let state = seed;
    return Array.from({ length: n }, () => {
      state = (Math.imul(1664525, state) + 1013904223) >>> 0;
      return Math.trunc(((state >>> 16) - 32768) / divisor);
    });
  },
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
    ...["--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"],
    ...["--use-fake-ui-for-media-stream", `--use-file-for-fake-audio-capture=${speech}`],
  ],
});
const found = { differences: {}, failures: [] };
const hold = (rule, truth) => truth || found.failures.push(rule);
try {
  const page = await browser.newPage({ viewport: { width: 800, height: 1000 } });
  const elsewhere = [];
  page.on("request", (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(new URL(url).origin)) elsewhere.push(request.url());
  });
  page.on("pageerror", (error) => found.failures.push(`the page threw ${error.message}`));
  await page.goto(url);
  await page.getByText("Ready:").waitFor();

  for (const { name, waveform, embedding } of cases) {
    const samples = Array.from(makers[waveform.kind](waveform));
    const got = await page.evaluate(
      async (samples) => [...(await trillEmbedder.embed(Float32Array.from(samples, (x) => x / 32768))).embedding],
      samples,
    );
    const largest = Math.max(...embedding.map(Math.abs));
    found.differences[name] = Math.max(...embedding.map((value, i) => Math.abs(value - got[i]))) / largest;
    hold(`${name} is as in Python`, found.differences[name] <= tolerance);
  }
  found.milliseconds = await page.evaluate(async () => {
    const times = [];
    for (let i = 0; i < 40; i++) times.push((await trillEmbedder.embed(new Float32Array(15600).fill(0.1))).milliseconds);
    return times.sort((a, b) => a - b)[20];
  });

  const keep = async (file, name) => {
    await page.getByLabel("Open a sound file").setInputFiles(file);
    await page.getByText(`${file.split("/").pop()}: `).waitFor();
    await page.getByLabel("Keep this sound as").fill(name);
    await page.getByRole("button", { name: "Keep" }).click();
  };
  await keep(other, "Other");
  await keep(speech, "Speech");
  found.table = await page
    .locator("#kept tr")
    .evaluateAll((rows) => rows.map((row) => ["th", ".number"].map((cell) => row.querySelector(cell).textContent)));
  hold("the sound itself stands first", found.table[0]?.join() === "Speech,1.000" && found.table.length === 2);
  found.facts = await page.locator("#facts").textContent();
  if (screenshots) {
    await page.screenshot({ path: `${screenshots}-light.png`, fullPage: true });
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: `${screenshots}-dark.png`, fullPage: true });
    await page.setViewportSize({ width: 360, height: 800 });
    await page.screenshot({ path: `${screenshots}-narrow.png`, fullPage: true });
  }
  found.embedding = await page.evaluate(async (encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(bytes.buffer);
    return [...(await trillEmbedder.embed(sound.getChannelData(0))).embedding];
  }, readFileSync(speech).toString("base64"));

  const notes = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no sound") };
  await page.getByLabel("Open a sound file").setInputFiles(notes);
  found.wrongFile = await page.getByRole("alert").textContent();
  hold("a file that is no sound is named", found.wrongFile.includes("“notes.txt” is no sound"));

  await page.getByRole("button", { name: "Start microphone" }).click();
  await page.getByText("microphone: ").waitFor({ timeout: 20000 });
  found.microphone = await page.locator("#facts").textContent();
  found.level = await page.locator("#decibels").textContent();
  await page.getByRole("button", { name: "Stop microphone" }).click();
  await page.getByRole("button", { name: "Start microphone" }).waitFor();
  hold("an error goes away with the next action", await page.getByRole("alert").isHidden());
  hold(`nothing is fetched from elsewhere: ${elsewhere}`, !elsewhere.length);

  const without = await browser.newPage();
  await without.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotFoundError"));
  });
  await without.goto(url);
  await without.getByText("Ready:").waitFor();
  await without.getByRole("button", { name: "Start microphone" }).click();
  found.noMicrophone = await without.getByRole("alert").textContent();
  hold("no microphone is said", found.noMicrophone.includes("There is no microphone"));

  const broken = await browser.newPage();
  await broken.route("**/model.tflite", async (route) => {
    const body = Buffer.from(await (await route.fetch()).body());
    body[1000] ^= 1;
    await route.fulfill({ body });
  });
  await broken.goto(url);
  await broken.getByText("Not ready.").waitFor();
  found.altered = await broken.getByRole("alert").textContent();
  hold("an altered model is refused", found.altered.includes("altered"));
} catch (error) {
  found.failures.push(error.message);
} finally {
  await browser.close();
}
console.log(JSON.stringify(found));
process.exit(found.failures.length ? 1 : 0);
