// Small helpers on the document. Text is only ever set as text, so nothing that a file holds becomes markup.

export const element = (id) => document.getElementById(id);

/** A new element with a class and text or children. */
export function made(tag, className, ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

/** Shows a message in an element that is hidden while there is none. */
export function tell(node, message) {
  node.hidden = !message;
  node.textContent = message;
}
