"use strict";
// Tables: a click on a heading sorts, the best first; what has no number stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const first = "lower" in head.dataset || column === 0 ? "ascending" : "descending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const value = (row) => {
      const cell = row.cells[column];
      const text = "value" in cell.dataset ? cell.dataset.value : cell.textContent;
      return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
    };
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].sort((one, two) => {
      const [a, b] = [value(one), value(two)];
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (a < b ? -1 : a > b ? 1 : 0);
    });
    table.tBodies[0].append(...rows);
  }));
}

// Maps: the pointer or the arrow keys choose a clip, a click or Enter plays it, a label puts the others back.
for (const map of document.querySelectorAll("section.map")) {
  const clips = JSON.parse(map.querySelector("script.clips").textContent);
  const cloud = map.querySelector("svg.cloud");
  const points = [...cloud.querySelectorAll("[data-point]")];
  const now = map.querySelector(".now");
  const audio = map.querySelector("audio");
  let here = -1;
  const choose = (index) => {
    if (here >= 0) points[here].classList.remove("here");
    here = index;
    points[here].classList.add("here");
    const clip = clips[here];
    now.textContent = `${clip.name}: ${clip.label}, ${clip.speaker}${clip.sound ? "" : " (its sound is not at hand)"}`;
  };
  const play = () => {
    const clip = clips[here];
    if (!clip.sound) return;
    audio.hidden = false;
    audio.src = clip.sound;
    audio.play().catch(() => {});
  };
  audio.addEventListener("error", () => {
    if (here >= 0) now.textContent = `${clips[here].name} cannot be played: the file moved, or the browser does not know its format.`;
  });
  const under = (event) => event.target.closest ? event.target.closest("[data-point]") : null;
  cloud.addEventListener("pointerover", (event) => { const at = under(event); if (at) choose(Number(at.dataset.point)); });
  cloud.addEventListener("click", (event) => {
    const at = under(event);
    if (at) { choose(Number(at.dataset.point)); play(); }
  });
  const middle = (point) => {
    const box = point.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  cloud.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && here >= 0) return play();
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    if (here < 0) return choose(0);
    const [x, y] = middle(points[here]);
    let best = Infinity, next = here;
    points.forEach((point, index) => {  // the nearest in a cone of this way
      const [px, py] = middle(point);
      const along = (px - x) * way[0] + (py - y) * way[1];
      const aside = Math.abs((px - x) * way[1]) + Math.abs((py - y) * way[0]);
      if (index !== here && along > 0 && along >= aside && along + 2 * aside < best) { best = along + 2 * aside; next = index; }
    });
    choose(next);
  });
  for (const button of map.querySelectorAll("button.pick")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      for (const each of map.querySelectorAll("button.pick")) each.setAttribute("aria-pressed", String(on && each === button));
      points.forEach((point, index) => point.classList.toggle("dim", on && clips[index].group !== button.dataset.label));
    });
  }
}
