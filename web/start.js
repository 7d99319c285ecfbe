// Starts the dashboard. A file of its own, because the content security policy allows no inline scripts.
import init from "/dashboard.js";

init({ module_or_path: "/dashboard_bg.wasm" }).catch((error) => {
  document.body.textContent = `The dashboard could not start: ${error}. Please reload the page.`;
});
