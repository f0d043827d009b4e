// Keys of the queue: 1 to 9 give a class, space goes on, u takes the last label back.
const keys = new Map([...document.querySelectorAll("[data-key]")].map(one => [one.dataset.key, one]));
document.addEventListener("keydown", event => {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const found = keys.get(event.key);
  if (!found) return;
  event.preventDefault();
  found.click();
});
