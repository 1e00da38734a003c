// What every page has: the chosen language and theme, dialogs that Escape closes, a sidebar that collapses after a
// choice on small screens, and a page that follows a restart of the server.
const OVER_PAGE_PX = 768;
const WATCHED = "data-atelier-fold";
const RELOADED = "atelier-colors";
// A run that Streamlit itself requests starts well within this time after a reconnection.
const RERUN_MS = 3000;
const RERUNS = 3;

// Streamlit 1.67 stores the theme chosen in its menu by the path of the page, and reads it on load.
const themeKey = (path) => `stActiveTheme-${path}-v2`;

function wear(theme, paths) {
  const wanted = JSON.stringify(theme);
  const worn = (path) => localStorage.getItem(themeKey(path)) ?? '"System"';
  const changes = worn(location.pathname) !== wanted;
  for (const path of paths) localStorage.setItem(themeKey(path), wanted);
  // Once per choice: otherwise a theme that does not apply would reload the page forever.
  if (changes && sessionStorage.getItem(RELOADED) !== wanted + location.pathname) {
    sessionStorage.setItem(RELOADED, wanted + location.pathname);
    location.reload();
  } else if (!changes) {
    sessionStorage.removeItem(RELOADED);
  }
}

// A button that disappears on click loses the focus, so Escape would not reach its dialog.
function closeByEscape(event) {
  if (event.key !== "Escape" || document.activeElement !== document.body) return;
  [...document.querySelectorAll('[data-testid="stDialog"]')].at(-1)?.querySelector('button[aria-label="Close"]')?.click();
}

// Requests a run of the page from the server. The function of the newest run, which knows the current session.
let rerun = () => {};
let watchedApp = null;

// After a restart the server knows nothing of the page: until a run, neither clicks with callbacks nor polls reach
// it. Streamlit requests that run only in some states of the page, and once: if the request is lost, the page stays
// as it was. This requests it again until a run has begun.
function followRestarts() {
  const app = document.querySelector('[data-testid="stApp"]');
  if (!app || app === watchedApp) return;
  watchedApp = app;
  let timer = null;
  let left = 0;
  const connected = () => app.getAttribute("data-test-connection-state") === "CONNECTED";
  const look = () => {
    timer = null;
    if (!connected() || left === 0) return;
    left -= 1;
    rerun();
    timer = setTimeout(look, RERUN_MS);
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.attributeName === "data-test-script-state") {
        // Something runs, or has run: the server knows the page.
        if (app.getAttribute("data-test-script-state") === "running") left = 0;
      } else if (connected() && change.oldValue !== "CONNECTED") {
        left = RERUNS;
        clearTimeout(timer);
        timer = setTimeout(look, RERUN_MS);
      }
    }
  }).observe(app, { attributeOldValue: true, attributeFilter: ["data-test-connection-state", "data-test-script-state"] });
}

export default function ({ data, parentElement, setTriggerValue }) {
  rerun = () => setTriggerValue("reconnected", true);
  followRestarts();
  wear(data.theme, data.paths);
  // The same function is registered only once, however often this runs.
  window.addEventListener("keydown", closeByEscape);
  // Screen readers, hyphenation, and the browser's translation use it.
  document.documentElement.lang = data.language;
  // The component has its own shadow root.
  const host = parentElement.getRootNode().host ?? parentElement;
  const sidebar = host.closest('[data-testid="stSidebar"]');
  if (!sidebar || sidebar.hasAttribute(WATCHED)) return;
  sidebar.setAttribute(WATCHED, "");
  sidebar.addEventListener("click", (event) => {
    if (window.innerWidth >= OVER_PAGE_PX || !event.target.closest('[data-testid="stPageLink-NavLink"]')) return;
    sidebar.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
  });
}
