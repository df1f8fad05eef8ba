import { store } from './clock.js';
import { h, keyedList, setAttribute, setText } from './dom.js';
import { age, count, moment, unbroken } from './format.js';
import { fullName, moreText, nameOf, NOT_KNOWN } from './holders.js';

/** A table by its roles, too: the style sheet lays it out as none on the narrowest screens. */
const COLUMN = { scope: 'col', role: 'columnheader' };
const CELL = { role: 'cell' };

/** Who waits, in the order in which they will be served. */
export class QueuePanel {
  #parts = [];
  #heading = h('h2', { id: 'queue-title' }, 'Queue');
  #more = h('p', { class: 'more' });
  #empty = h('p', { class: 'empty' }, NOT_KNOWN);
  #body = h('tbody', { role: 'rowgroup' });
  #table = h(
    'table',
    { class: 'queue', role: 'table', 'aria-labelledby': 'queue-title', hidden: '' },
    h(
      'thead',
      { role: 'rowgroup' },
      h(
        'tr',
        { role: 'row' },
        heading('#', 'is-number'),
        heading('Who'),
        heading('Process', 'is-client'),
        heading('Priority', 'is-number is-wide'),
        heading('Weight', 'is-number is-wide'),
        heading('Waits', 'is-number'),
        h('th', { ...COLUMN, class: 'act' }, h('span', { class: 'hidden' }, 'Act')),
      ),
    ),
    this.#body,
  );
  #sync;

  constructor(onDrop) {
    this.#sync = keyedList(
      this.#body,
      this.#heading,
      ({ id }) => id,
      () => new WaiterView(onDrop),
    );
    this.element = h(
      'section',
      { class: 'panel', 'aria-labelledby': 'queue-title' },
      this.#heading,
      this.#table,
      this.#empty,
      this.#more,
    );
  }

  allow(mayAct) {
    this.element.classList.toggle('may-act', mayAct);
  }

  show({ waiters, waiting }) {
    this.#parts = this.#sync(waiters.map((waiter, i) => ({ ...waiter, place: i + 1 })));
    setText(this.#heading, `Queue (${count(waiting)})`);
    this.#table.hidden = waiting === 0;
    setText(this.#empty, 'Nobody waits.');
    this.#empty.hidden = waiting > 0;
    setText(this.#more, moreText(waiting, waiters.length));
  }

  tick() {
    const at = store.now();
    for (const part of this.#parts) part.tick(at);
  }
}

class WaiterView {
  #waiter;
  #place = h('td', { ...CELL, class: 'is-number' });
  #label = h('span', { class: 'label' });
  /** What has no column on a phone. */
  #more = h('span', { class: 'more-of-waiter' });
  #client = h('td', { ...CELL, class: 'is-client' });
  #priority = h('td', { ...CELL, class: 'is-number is-wide' });
  #weight = h('td', { ...CELL, class: 'is-number is-wide' });
  #age = h('td', { ...CELL, class: 'is-number' });
  #button = h('button', { type: 'button', class: 'act is-danger' }, 'Drop…');

  constructor(onDrop) {
    this.#button.addEventListener('click', () => onDrop(this.#waiter));
    this.element = h(
      'tr',
      { role: 'row' },
      this.#place,
      h('td', { ...CELL, class: 'who-waits' }, this.#label, this.#more),
      this.#client,
      this.#priority,
      this.#weight,
      this.#age,
      h('td', { ...CELL, class: 'act' }, this.#button),
    );
  }

  update(waiter) {
    this.#waiter = waiter;
    const { label, client, priority, weight, place, enqueuedAt } = waiter;
    setText(this.#place, count(place));
    setText(this.#label, nameOf(waiter));
    this.#label.classList.toggle('is-id', label === undefined);
    setAttribute(this.#label, 'title', fullName(waiter));
    setText(this.#client, client);
    setText(this.#priority, count(priority));
    setText(this.#weight, count(weight));
    setAttribute(this.#age, 'title', `since ${moment(enqueuedAt)}`);
    const unusual = [
      priority !== 0 && unbroken(`priority ${count(priority)}`),
      weight !== 1 && unbroken(`weight ${count(weight)}`),
    ];
    setText(this.#more, [...unusual, client].filter(Boolean).join(' · '));
    setAttribute(this.#button, 'aria-label', `Drop the waiter ${nameOf(waiter)}…`);
  }

  tick(at) {
    setText(this.#age, age(at - this.#waiter.enqueuedAt));
  }
}

function heading(text, name) {
  return h('th', { ...COLUMN, class: name }, text);
}
