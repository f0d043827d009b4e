// Shows the NG wall large, one part after the other: by keys, or by itself every four seconds.
const links = [...document.querySelectorAll("[data-large]")];
const dialog = document.getElementById("large");
const start = document.getElementById("start");
const [frame, map] = dialog.querySelectorAll("img");
const run = dialog.querySelector("[data-do=run]");
const SECONDS = 4;
let at = 0, timer = 0;

function show(number) {
  at = (number + links.length) % links.length;
  const one = links[at].dataset;
  frame.hidden = !one.frame;
  map.hidden = !one.map;
  if (one.frame) frame.src = one.frame;
  if (one.map) map.src = one.map;
  frame.alt = one.name;
  document.getElementById("large-said").textContent = one.said;
  document.getElementById("large-when").textContent = one.when;
  const name = document.getElementById("large-name");
  name.textContent = one.name;
  name.href = links[at].href;
}
function goOn(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => show(at + 1), SECONDS * 1000) : 0;
  run.setAttribute("aria-pressed", String(on));
}
function open(number) {
  show(number);
  dialog.showModal();
  goOn(!matchMedia("(prefers-reduced-motion: reduce)").matches);
}
const acts = {
  next: () => show(at + 1),
  previous: () => show(at - 1),
  run: () => goOn(!timer),
  close: () => dialog.close(),
};
if (links.length) {
  start.hidden = false;
  start.addEventListener("click", () => open(0));
  links.forEach((one, number) => one.addEventListener("click", event => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(number);
  }));
  document.addEventListener("keydown", event => {
    if (event.key === "Enter" && event.target === document.body && !dialog.open) open(0);
  });
  dialog.querySelectorAll("[data-do]").forEach(one => one.addEventListener("click", () => acts[one.dataset.do]()));
  dialog.addEventListener("close", () => { goOn(false); links[at].focus(); });
  dialog.addEventListener("keydown", event => {
    const key = { ArrowRight: "next", ArrowLeft: "previous", " ": "run" }[event.key];
    if (!key) return;
    event.preventDefault();
    acts[key]();
  });
}
