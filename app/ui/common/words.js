// A component's texts: English here, translated if `data.words` has the translation.
let WORDS = {}

function speak(words) {
  WORDS = words ?? {}
}

// Identifies the language: elements built in another language are rebuilt.
function spoken() {
  return JSON.stringify(WORDS)
}

// Fills in the {names} of a text with `values`.
function say(text, values = {}) {
  return (WORDS[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
}
