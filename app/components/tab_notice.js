// One state for the tab: pages that are changed between mount this anew, and Streamlit sets the title with each run.
const tab = (window.atelierTab ??= { open: [], seen: [], title: document.title, shown: null, watching: false })

function show(text) {
  tab.shown = text
  const wanted = text ?? tab.title
  if (document.title !== wanted) document.title = wanted
}

function watchTitle() {
  if (tab.watching) return
  tab.watching = true
  new MutationObserver(() => {
    if (document.title === tab.shown) return
    // Streamlit's own title, of this page or the next one.
    tab.title = document.title
    if (tab.shown) document.title = tab.shown
  }).observe(document.head, { subtree: true, childList: true, characterData: true })
  const seen = () => {
    if (!document.hidden && document.hasFocus() && !tab.open.length) show(null)
  }
  document.addEventListener("visibilitychange", seen)
  window.addEventListener("focus", seen)
}

function notify(words, failed, last) {
  if (!("Notification" in window) || Notification.permission !== "granted") return
  if (!document.hidden && document.hasFocus()) return
  // A second window says the same: the tag makes both one.
  const note = new Notification(words.notice, {
    body: failed ? words.failed : words.succeeded,
    tag: `atelier-${last}`,
  })
  note.onclick = () => {
    window.focus()
    note.close()
  }
}

export default function (component) {
  const { data, parentElement } = component
  const { words } = data
  watchTitle()
  let ask = parentElement.querySelector("button")
  if (!ask) {
    ask = document.createElement("button")
    ask.type = "button"
    parentElement.append(ask)
  }
  ask.textContent = words.ask
  const mayAsk = () => "Notification" in window && Notification.permission === "default" && data.open.length > 0
  ask.hidden = !mayAsk()
  ask.onclick = async () => {
    await Notification.requestPermission()
    ask.hidden = !mayAsk()
  }

  const gone = tab.open.filter((id) => !data.open.includes(id) && !data.canceled.includes(id))
  tab.open = data.open
  tab.seen = [...new Set([...tab.seen, ...data.open])]
  const named = (text) => text.replace("{count}", String(data.open.length)).replace("{title}", tab.title)
  if (data.open.length) show(named(words.open))
  else if (gone.length) {
    const here = !document.hidden && document.hasFocus()
    show(named(words.done))
    if (here) setTimeout(() => tab.open.length || show(null), 4000)
    notify(words, tab.seen.some((id) => data.failed.includes(id)), [...gone].sort().pop())
    tab.seen = []
  } else if (tab.shown && tab.shown !== named(words.done)) show(null)
  return () => {}
}
