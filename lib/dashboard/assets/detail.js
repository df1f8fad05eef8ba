import { Acts } from './acts.js';
import { store } from './clock.js';
import { h, setText } from './dom.js';
import { age, count, maybeDuration, printable, unbroken } from './format.js';
import { HoldersPanel } from './holders.js';
import { lastList } from './list-address.js';
import { meter } from './meter.js';
import { PlotsPanel } from './plots.js';
import { QueuePanel } from './queue.js';

/** One semaphore: who holds, who waits, and how it went. */
export class Detail {
  #stream;
  #key;
  #semaphore;
  #acts;
  #meter = meter();
  #used = h('dd', {}, this.#meter.element);
  #waiting = h('dd', {}, '–');
  #oldest = h('dd', {}, '–');
  #wait = h('dd', { class: 'quantiles' }, '–');
  #hold = h('dd', { class: 'quantiles' }, '–');
  #pinned = h(
    'span',
    { class: 'tag is-pinned', hidden: '', title: 'Set by an operator, whatever callers pass' },
    'limit pinned',
  );
  #limitButton = h('button', { type: 'button', hidden: '', onclick: () => this.#setLimit() });
  #holders;
  #queue;
  #plots = new PlotsPanel();

  constructor(stream, key) {
    this.#stream = stream;
    this.#key = key;
    this.title = `${printable(key)} · Semaphores`;
    this.#acts = new Acts(key);
    this.#limitButton.append('Change the limit…');
    this.#holders = new HoldersPanel((holder) => this.#acts.release(holder));
    this.#queue = new QueuePanel((waiter) => this.#acts.drop(waiter));
    this.element = h(
      'div',
      { class: 'detail' },
      h(
        'nav',
        { 'aria-label': 'Back' },
        h('a', { class: 'back', href: lastList.address }, 'All semaphores'),
      ),
      h(
        'div',
        { class: 'title' },
        h('h1', { class: 'key' }, printable(key)),
        this.#pinned,
        this.#limitButton,
      ),
      h(
        'dl',
        { class: 'tiles is-detail' },
        tile('In use', this.#used),
        tile('Waiting', this.#waiting),
        tile('Oldest wait', this.#oldest),
        tile('Wait p50 · p95 · p99', this.#wait),
        tile('Hold p50 · p95 · p99', this.#hold),
      ),
      this.#holders.element,
      this.#queue.element,
      this.#plots.element,
    );
  }

  open() {
    this.#stream.show(new URLSearchParams({ key: this.#key }).toString());
    this.#plots.open();
  }

  close() {
    lastList.key = this.#key;
    this.#plots.close();
    this.#acts.close();
  }

  allow(mayAct) {
    this.#limitButton.hidden = !mayAct;
    this.#holders.allow(mayAct);
    this.#queue.allow(mayAct);
    if (!mayAct) this.#acts.close();
  }

  show({ semaphore }) {
    if (semaphore === undefined) return;
    this.#semaphore = semaphore;
    const { held, permits, pinned, waiting, timeline } = semaphore;
    this.#pinned.hidden = !pinned;
    this.#meter.show(held, permits, waiting);
    setText(this.#waiting, count(waiting));
    this.#waiting.classList.toggle('is-waiting', waiting > 0);
    setText(this.#wait, quantiles(timeline.total.wait));
    setText(this.#hold, quantiles(timeline.total.hold));
    this.#holders.show(semaphore);
    this.#queue.show(semaphore);
    this.#plots.show(timeline);
    this.tick();
  }

  tick() {
    if (this.#semaphore === undefined) return;
    const { oldestWaitSince } = this.#semaphore;
    setText(this.#oldest, oldestWaitSince === null ? '–' : age(store.now() - oldestWaitSince));
    this.#holders.tick();
    this.#queue.tick();
  }

  #setLimit() {
    this.#acts.setLimit(this.#semaphore ?? {});
  }
}

function tile(title, value) {
  return h('div', {}, h('dt', {}, title), value);
}

function quantiles(values) {
  return values.map((value) => unbroken(maybeDuration(value))).join('\u00a0· ');
}
