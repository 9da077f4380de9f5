"use strict";
for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = form.querySelector("output");
    output.textContent = "…";
    const start = performance.now();
    try {
      const response = await fetch(form.dataset.path, {
        method: "POST",
        headers: {"content-type": "application/json"},
        body: form.querySelector("textarea").value,
      });
      const text = await response.text();
      const version = response.headers.get("plimsoll-model-version");
      const milliseconds = (performance.now() - start).toFixed(1);
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 1); } catch { /* shown as it came */ }
      output.dataset.status = response.status;
      output.textContent = response.status + (version ? " · version " + version : "") + " · " + milliseconds + " ms\n" + shown;
    } catch (error) {
      output.dataset.status = "0";
      output.textContent = "no answer: " + error.message;
    }
  });
}
