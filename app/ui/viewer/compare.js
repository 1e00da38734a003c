// Compares two pictures: under a slider, by fading, or side by side; the differences are listed below.
const modesInWords = () => [
  ["slide", say("Slider")],
  ["fade", say("Fade")],
  ["side", say("Side by side")],
]

function makeView(parent) {
  const modes = make("div", "modes", { role: "group", "aria-label": say("How they are shown") })
  for (const [mode, label] of modesInWords()) {
    const button = make("button", "mode", { type: "button" }, label)
    button.dataset.mode = mode
    modes.append(button)
  }
  const pictures = ["a", "b"].map((side) => make("figure", side, {}, make("img", "", { draggable: "false" }), make("figcaption", "")))
  const knob = make("div", "knob", { role: "slider", tabindex: "0", "aria-orientation": "horizontal", "aria-valuemin": "0", "aria-valuemax": "100" }, icon("handle"))
  const stage = make("div", "stage", {}, ...pictures, make("div", "line"), knob)
  const table = make("div", "table")
  const frame = make("div", "frame", {}, modes, stage, table)
  parent.append(frame)
  return { frame, modes, stage, pictures, knob, table, at: 50, mode: "slide" }
}

function move(view, at) {
  view.at = Math.round(Math.max(0, Math.min(100, at)) * 10) / 10
  const { stage, knob } = view
  stage.style.setProperty("--at", `${view.at}%`)
  stage.style.setProperty("--share", 1 - view.at / 100)
  const left = Math.round(view.at)
  knob.setAttribute("aria-valuenow", String(left))
  knob.setAttribute("aria-valuetext", say("{left} % of the left picture, {right} % of the right one", { left, right: 100 - left }))
}

function setMode(view, mode) {
  view.mode = mode
  view.stage.dataset.mode = mode
  for (const button of view.modes.children) button.setAttribute("aria-pressed", String(button.dataset.mode === mode))
  view.knob.setAttribute("aria-label", mode === "fade" ? say("Fade between the pictures") : say("Border between the pictures"))
  view.knob.tabIndex = mode === "side" ? -1 : 0
}

function fillTable(view, data) {
  view.table.replaceChildren()
  const head = make("h3", "", {}, data.rows.length ? say("What differs") : say("All settings are the same"))
  view.table.append(head)
  if (data.rows.length) {
    const body = make("tbody", "")
    for (const { name, a, b } of data.rows) {
      body.append(make("tr", "", {}, make("th", "", { scope: "row" }, name), make("td", "", {}, a), make("td", "", {}, b)))
    }
    const column = (words) => make("th", "", { scope: "col" }, words)
    view.table.append(make("table", "", {}, make("thead", "", {}, make("tr", "", {}, column(""), column(data.a.label), column(data.b.label))), body))
  }
  if (data.same.length) {
    const list = make("dl", "")
    for (const { name, value } of data.same) list.append(make("dt", "", {}, name), make("dd", "", {}, value))
    view.table.append(make("details", "", {}, make("summary", "", {}, data.same_words), list))
  }
}

const views = new WeakMap()

export default function (component) {
  const { data, parentElement } = component
  speak(data.words)
  let view = views.get(parentElement)
  if (!view || !parentElement.contains(view.frame) || view.spoken !== spoken()) {
    view?.frame.remove()
    view = makeView(parentElement)
    view.spoken = spoken()
    views.set(parentElement, view)
    const { stage, knob } = view
    const toPointer = (event) => {
      const box = stage.getBoundingClientRect()
      move(view, ((event.clientX - box.left) / box.width) * 100)
    }
    stage.onpointerdown = (event) => {
      if (event.button > 0 || view.mode === "side") return
      stage.setPointerCapture(event.pointerId)
      view.held = true
      toPointer(event)
      knob.focus({ preventScroll: true })
      event.preventDefault()
    }
    stage.onpointermove = (event) => view.held && toPointer(event)
    stage.onpointerup = stage.onpointercancel = () => (view.held = false)
    knob.onkeydown = (event) => {
      const fine = event.shiftKey ? 10 : 2
      const to = {
        ArrowLeft: view.at - fine,
        ArrowDown: view.at - fine,
        ArrowRight: view.at + fine,
        ArrowUp: view.at + fine,
        PageDown: view.at - 10,
        PageUp: view.at + 10,
        Home: 0,
        End: 100,
      }[event.key]
      if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return
      move(view, to)
      event.preventDefault()
      event.stopPropagation()
    }
    for (const button of view.modes.children) button.onclick = () => setMode(view, button.dataset.mode)
    setMode(view, "slide")
    move(view, 50)
    setTimeout(() => knob.focus({ preventScroll: true }), 80)
  }
  view.stage.style.setProperty("--ratio", data.a.width / data.a.height)
  ;[data.a, data.b].forEach((item, index) => {
    const [image, caption] = view.pictures[index].children
    if (image.getAttribute("src") !== item.src) image.src = item.src
    image.alt = item.alt
    caption.textContent = item.label
  })
  fillTable(view, data)
}
