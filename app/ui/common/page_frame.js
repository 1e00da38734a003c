// What every page has: the language and colors that were chosen, dialogs that Escape closes, and a sidebar that folds
// away behind a choice on small screens.
const OVER_PAGE_PX = 768;
const WATCHED = "data-atelier-fold";
const RELOADED = "atelier-colors";

// Streamlit 1.67 keeps the theme a page was given in its menu by the path it was loaded at, and reads it at the start.
const themeKey = (path) => `stActiveTheme-${path}-v2`;

function wear(theme, paths) {
  const wanted = JSON.stringify(theme);
  const worn = (path) => localStorage.getItem(themeKey(path)) ?? '"System"';
  const changes = worn(location.pathname) !== wanted;
  for (const path of paths) localStorage.setItem(themeKey(path), wanted);
  // Once for each choice: were it not taken, the page would be loaded for ever.
  if (changes && sessionStorage.getItem(RELOADED) !== wanted + location.pathname) {
    sessionStorage.setItem(RELOADED, wanted + location.pathname);
    location.reload();
  } else if (!changes) {
    sessionStorage.removeItem(RELOADED);
  }
}

// A button that is gone once it was pressed takes the focus along: Escape would not reach the dialog it was in.
function closeByEscape(event) {
  if (event.key !== "Escape" || document.activeElement !== document.body) return;
  [...document.querySelectorAll('[data-testid="stDialog"]')].at(-1)?.querySelector('button[aria-label="Close"]')?.click();
}

export default function ({ data, parentElement }) {
  wear(data.theme, data.paths);
  // The same function is listening once, however often this runs.
  window.addEventListener("keydown", closeByEscape);
  // Screen readers pronounce, and browsers hyphenate and offer to translate, by it.
  document.documentElement.lang = data.language;
  // The component lives in a shadow root of its own.
  const host = parentElement.getRootNode().host ?? parentElement;
  const sidebar = host.closest('[data-testid="stSidebar"]');
  if (!sidebar || sidebar.hasAttribute(WATCHED)) return;
  sidebar.setAttribute(WATCHED, "");
  sidebar.addEventListener("click", (event) => {
    if (window.innerWidth >= OVER_PAGE_PX || !event.target.closest('[data-testid="stPageLink-NavLink"]')) return;
    sidebar.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
  });
}
