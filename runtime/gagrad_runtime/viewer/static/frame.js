// The slider between frame and map, the size, and the numbers of the places.
const zoom = document.querySelector(".zoom");
const layers = zoom?.querySelector(".layers");
const map = zoom?.querySelector(".layer-map");
const mix = document.getElementById("mix");
const numbers = document.getElementById("numbers");
const places = zoom?.querySelector(".places");
if (mix && map) mix.addEventListener("input", () => { map.style.opacity = mix.value / 100; });
if (numbers && places) numbers.addEventListener("change", () => { places.style.display = numbers.checked ? "" : "none"; });

const buttons = [...document.querySelectorAll("[data-zoom]")];
function enlarge(button) {
  const times = Number(button.dataset.zoom);
  const [x, y] = [(zoom.scrollLeft + zoom.clientWidth / 2) / zoom.scrollWidth, (zoom.scrollTop + zoom.clientHeight / 2) / zoom.scrollHeight];
  zoom.style.height = times > 1 ? `${zoom.clientHeight}px` : "";
  zoom.classList.toggle("large", times > 1);
  layers.style.width = `${times * 100}%`;
  zoom.scrollTo(x * zoom.scrollWidth - zoom.clientWidth / 2, y * zoom.scrollHeight - zoom.clientHeight / 2);
  buttons.forEach(one => one.setAttribute("aria-pressed", String(one === button)));
}
buttons.forEach(one => one.addEventListener("click", () => enlarge(one)));

document.addEventListener("keydown", event => {
  if (event.target.closest("input, select, textarea, button") || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = buttons.findIndex(one => one.getAttribute("aria-pressed") === "true");
  if (event.key === "+" && buttons[at + 1]) enlarge(buttons[at + 1]);
  else if (event.key === "-" && buttons[at - 1]) enlarge(buttons[at - 1]);
  else if (event.key === "0" && buttons[0]) enlarge(buttons[0]);
  else if (event.key === "m" && mix) { mix.value = Number(mix.value) > 50 ? 0 : 100; mix.dispatchEvent(new Event("input")); }
});
