// Names and values, each with a copy button, and buttons that copy all of them.
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // Without HTTPS, such as a laptop's address in a local network.
    const area = make("textarea", "", { "aria-hidden": "true", style: "position: fixed; top: -100px" })
    area.value = text
    document.body.append(area)
    area.select()
    document.execCommand("copy")
    area.remove()
  }
}

export default function (component) {
  const { data, parentElement } = component
  speak(data.words)
  const focused = parentElement.querySelector("button:focus")?.dataset.name
  parentElement.querySelector(".facts")?.remove()
  const live = make("div", "live", { "aria-live": "polite" })
  const told = (button, name) => {
    button.querySelector("svg").replaceWith(icon("check"))
    live.textContent = say("{name} copied", { name })
    setTimeout(() => {
      button.querySelector("svg")?.replaceWith(icon("copy"))
    }, 1500)
  }
  const copying = (button, name, text) => {
    button.dataset.name = name
    button.onclick = () => toClipboard(text).then(() => told(button, name))
    return button
  }
  const bar = make("div", "bar")
  for (const { name, label, text } of data.texts) {
    const button = make("button", "all", { type: "button" }, icon("copy"), make("span", "", {}, label))
    bar.append(copying(button, name, text))
  }
  const list = make("dl", "")
  for (const { name, value } of data.rows) {
    const button = copying(iconButton("one", say("Copy: {name}", { name }), "copy"), name, value)
    const text = make("span", "value", {}, value)
    list.append(make("div", "row", {}, make("dt", "", {}, name), make("dd", "", {}, text, button)))
  }
  const facts = make("div", "facts", {}, bar, list, live)
  parentElement.append(facts)
  if (focused) [...facts.querySelectorAll("button")].find((button) => button.dataset.name === focused)?.focus()
}
