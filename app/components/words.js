// What a component says: in English here, in the reader's language when `data.words` brings it.
let WORDS = {}

function speak(words) {
  WORDS = words ?? {}
}

// Fills in the {names} of a text with `values`.
function say(text, values = {}) {
  return (WORDS[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
}
