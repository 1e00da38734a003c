// One state per tab: each page change mounts this again, and Streamlit sets the title with each run.
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
    // The title set by Streamlit, of this page or the next one.
    tab.title = document.title
    if (tab.shown) document.title = tab.shown
  }).observe(document.head, { subtree: true, childList: true, characterData: true })
  const seen = () => {
    if (!document.hidden && document.hasFocus() && !tab.open.length) show(null)
  }
  document.addEventListener("visibilitychange", seen)
  window.addEventListener("focus", seen)
}

function notify(failed, last) {
  if (!("Notification" in window) || Notification.permission !== "granted") return
  if (!document.hidden && document.hasFocus()) return
  // The tag merges equal notifications of several windows.
  const note = new Notification("Atelier", {
    body: failed ? say("It ended without all of the pictures. Atelier says why.") : say("Your pictures are done."),
    tag: `atelier-${last}`,
  })
  note.onclick = () => {
    window.focus()
    note.close()
  }
}

export default function (component) {
  const { data, parentElement } = component
  speak(data.words)
  watchTitle()
  let ask = parentElement.querySelector("button")
  if (!ask) {
    ask = document.createElement("button")
    ask.type = "button"
    parentElement.append(ask)
  }
  ask.textContent = say("Notify me when it is done")
  const mayAsk = () => "Notification" in window && Notification.permission === "default" && data.open.length > 0
  ask.hidden = !mayAsk()
  ask.onclick = async () => {
    await Notification.requestPermission()
    ask.hidden = !mayAsk()
  }

  const gone = tab.open.filter((id) => !data.open.includes(id) && !data.canceled.includes(id))
  tab.open = data.open
  tab.seen = [...new Set([...tab.seen, ...data.open])]
  const done = say("Done – {title}", { title: tab.title })
  if (data.open.length) show(say("({count}) drawing… – {title}", { count: data.open.length, title: tab.title }))
  else if (gone.length) {
    const here = !document.hidden && document.hasFocus()
    show(done)
    if (here) setTimeout(() => tab.open.length || show(null), 4000)
    notify(tab.seen.some((id) => data.failed.includes(id)), [...gone].sort().pop())
    tab.seen = []
  } else if (tab.shown && tab.shown !== done) show(null)
  return () => {}
}
