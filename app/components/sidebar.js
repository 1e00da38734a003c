// On a screen where the sidebar lies over the page, a page that was chosen in it is what one wants to see next.
const OVER_PAGE_PX = 768;
const WATCHED = "data-atelier-fold";

export default function ({ parentElement }) {
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
