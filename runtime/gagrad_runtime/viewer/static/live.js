// Says when the stream of events is gone, and asks nothing of anybody else.
const lost = document.getElementById("lost");
document.addEventListener("htmx:sse:error", () => { lost.hidden = false; });
document.addEventListener("htmx:sse:close", () => { lost.hidden = false; });
document.addEventListener("htmx:sse:after:connection", event => { lost.hidden = event.detail.connection.status === 200; });
document.querySelectorAll("[data-submit]").forEach(one => one.addEventListener("change", () => one.form.requestSubmit()));
