// The self-check: says of each answer whether it is right and why, and counts.
const check = document.getElementById("check");
const print = document.getElementById("print");
const score = document.getElementById("score");
const questions = [...document.querySelectorAll(".quiz fieldset")];
check.hidden = print.hidden = false;
print.addEventListener("click", () => window.print());
check.addEventListener("click", () => {
  let right = 0;
  for (const one of questions) {
    const chosen = one.querySelector("input:checked");
    const told = one.querySelector(".told");
    const good = chosen?.value === one.dataset.right;
    right += good;
    one.classList.toggle("right", good);
    one.classList.toggle("wrong", !good);
    told.textContent = `${good ? told.dataset.yes : told.dataset.no} ${told.dataset.because}`;
  }
  score.textContent = score.dataset.text.replace("{right}", right).replace("{all}", questions.length);
});
