/**
 * Makes an element. Children are elements or text: what comes from keys and labels is never read as markup.
 * @param {Record<string, unknown>} props attributes; `class`, and `on…` for listeners; undefined and false are left out
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Writes only what differs: untouched nodes keep selections, and screen readers quiet. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param full shown to a pointer, where it says more */
export function setShortText(element, text, full) {
  setText(element, text);
  setAttribute(element, 'title', text === full ? null : full);
}

export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== `${value}`) element.setAttribute(name, value);
}

/** A length of a bar, from 0 to 1. */
export function setShare(element, name, share) {
  const percent = `${Math.round(Math.min(1, Math.max(0, share)) * 10_000) / 100}%`;
  if (element.style.getPropertyValue(name) !== percent) element.style.setProperty(name, percent);
}

/**
 * Makes the children of `container` show `items`, one each, in order. An item that stays keeps its element, and with it
 * the focus; one that goes leaves it to its neighbour's button, or to the heading.
 * @param {(item: unknown) => string} idOf
 * @param {(item: unknown) => { element: Element, update(item: unknown): void }} create
 */
export function keyedList(container, heading, idOf, create) {
  heading.setAttribute('tabindex', '-1');
  let shown = new Map();
  return (items) => {
    const ids = new Set(items.map(idOf));
    // First, so that what stays is not moved: an element that is moved loses the focus.
    for (const [id, { element }] of shown) if (!ids.has(id)) remove(element, heading);
    const next = new Map();
    let before = container.firstElementChild;
    for (const item of items) {
      const id = idOf(item);
      const part = shown.get(id) ?? create(item);
      next.set(id, part);
      part.update(item);
      if (part.element === before) before = before.nextElementSibling;
      else container.insertBefore(part.element, before);
    }
    shown = next;
    return [...next.values()];
  };
}

/** What stands where a removed element stood. */
const heirs = new WeakMap();

function remove(element, heading) {
  const hasFocus = element.contains(document.activeElement);
  heirs.set(element, element.nextElementSibling ?? element.previousElementSibling ?? heading);
  element.remove();
  if (hasFocus) giveFocusBack(element);
}

/** Focuses the element, or what stands where it stood. */
export function giveFocusBack(element) {
  let place = element;
  while (place && !place.isConnected) place = heirs.get(place.getRootNode());
  if (place !== element) place = place?.querySelector('button') ?? place;
  place?.focus();
}
