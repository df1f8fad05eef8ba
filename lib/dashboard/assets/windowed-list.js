import { h, setAttribute } from './dom.js';

/** Rows beyond the visible ones, in both directions: the next Tab must find one. */
const SPARE = 10;

/**
 * A list of which only the rows in sight exist, however long it is. The page scrolls, not the list.
 * All rows have the height that the style sheet gives as the least one of the list.
 */
export class WindowedList {
  element = h('div', { role: 'rowgroup', class: 'rows' });
  /** Told how many rows there are. */
  table;
  #createRow;
  #idOf;
  #onRange;
  #rows = new Map();
  #known = new Map();
  #length = 0;
  #rowHeight = 44;
  #frame = 0;
  #update = () => {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  };

  constructor({ createRow, idOf, onRange }) {
    this.#createRow = createRow;
    this.#idOf = idOf;
    this.#onRange = onRange;
  }

  open() {
    addEventListener('scroll', this.#update, { passive: true });
    addEventListener('resize', this.#update);
  }

  close() {
    removeEventListener('scroll', this.#update);
    removeEventListener('resize', this.#update);
    cancelAnimationFrame(this.#frame);
  }

  forget() {
    this.#known.clear();
  }

  show(length, offset, items) {
    // Enter opens what had the focus, although others came before it.
    const focused = this.#focusedId();
    this.#length = length;
    items.forEach((item, i) => this.#known.set(offset + i, item));
    for (const index of this.#known.keys()) if (index >= length) this.#known.delete(index);
    this.#render();
    if (focused !== undefined) this.focus(focused);
  }

  /** Focuses an item, when its row is there. */
  focus(id) {
    if (this.#focusedId() === id) return;
    for (const [index, { element }] of this.#rows) {
      if (this.#idAt(index) === id) element.querySelector('a').focus({ preventScroll: true });
    }
  }

  forEachRow(callback) {
    for (const row of this.#rows.values()) callback(row);
  }

  #render() {
    const { minHeight } = getComputedStyle(this.element);
    this.#rowHeight = Number.parseFloat(minHeight) || this.#rowHeight;
    this.element.style.setProperty('--count', this.#length);
    setAttribute(this.table, 'aria-rowcount', this.#length + 1);
    const { first, last } = this.#range();
    for (const [index, { element }] of this.#rows) {
      if (index >= first && index < last) continue;
      element.remove();
      this.#rows.delete(index);
    }
    let before = this.element.firstElementChild;
    for (let index = first; index < last; index++) {
      const row = this.#rowAt(index, before);
      before = row.element.nextElementSibling;
      row.show(this.#known.get(index));
    }
    this.#onRange(first);
  }

  #focusedId() {
    for (const [index, { element }] of this.#rows) {
      if (element.contains(document.activeElement)) return this.#idAt(index);
    }
    return undefined;
  }

  #idAt(index) {
    const item = this.#known.get(index);
    return item && this.#idOf(item);
  }

  #range() {
    const above = -this.element.getBoundingClientRect().top;
    const first = Math.floor(above / this.#rowHeight) - SPARE;
    const inSight = Math.ceil(innerHeight / this.#rowHeight) + 2 * SPARE;
    const start = Math.max(0, Math.min(first, this.#length - inSight));
    return { first: start, last: Math.min(this.#length, start + inSight) };
  }

  #rowAt(index, before) {
    const known = this.#rows.get(index);
    if (known) return known;
    const row = this.#createRow();
    row.element.style.setProperty('--index', index);
    row.element.setAttribute('aria-rowindex', index + 2);
    this.element.insertBefore(row.element, before);
    this.#rows.set(index, row);
    return row;
  }
}
