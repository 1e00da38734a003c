// What every page has: the chosen language and theme, dialogs that Escape closes, and a sidebar that collapses
// after a choice on small screens.
const OVER_PAGE_PX = 768;
const WATCHED = "data-atelier-fold";
const RELOADED = "atelier-colors";

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

export default function ({ data, parentElement }) {
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
