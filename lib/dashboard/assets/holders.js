import { store } from './clock.js';
import { h, keyedList, setAttribute, setShare, setText } from './dom.js';
import { age, count, duration, moment, printable } from './format.js';

/** So much of the time line is the past, and so much the future: of one scale, for lengths that can be compared. */
const HALF = 0.5;
/** How far the time line may reach to either side, in milliseconds. */
const SPANS = [
  5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
].map((seconds) => seconds * 1_000);

/** Until the store has been heard of: it may not answer at all. */
export const NOT_KNOWN = 'Not known yet.';

/** Who holds: bars from the acquisition to now, and on to the end of the lease. */
export class HoldersPanel {
  #semaphore;
  #parts = [];
  #heading = h('h2', { id: 'holders-title' }, 'Holders');
  #more = h('p', { class: 'more' });
  #empty = h('p', { class: 'empty' }, NOT_KNOWN);
  #past = h('span', { class: 'axis-start' });
  #future = h('span', { class: 'axis-end' });
  #axis = h(
    'div',
    { class: 'axis', 'aria-hidden': 'true', hidden: '' },
    this.#past,
    h('span', { class: 'axis-now' }, 'now'),
    this.#future,
  );
  #list = h('ol', { class: 'holders', role: 'list', 'aria-labelledby': 'holders-title' });
  #sync;

  constructor(onRelease) {
    this.#sync = keyedList(
      this.#list,
      this.#heading,
      ({ id }) => id,
      () => new HolderView(onRelease),
    );
    this.element = h(
      'section',
      { class: 'panel', 'aria-labelledby': 'holders-title' },
      this.#heading,
      this.#axis,
      this.#list,
      this.#empty,
      this.#more,
    );
  }

  allow(mayAct) {
    this.element.classList.toggle('may-act', mayAct);
  }

  show(semaphore) {
    this.#semaphore = semaphore;
    const { holders, holding } = semaphore;
    this.#parts = this.#sync(holders);
    setText(this.#heading, `Holders (${count(holding)})`);
    this.#axis.hidden = holding === 0;
    setText(this.#empty, 'Nobody holds a permit.');
    this.#empty.hidden = holding > 0;
    setText(this.#more, moreText(holding, holders.length));
  }

  tick() {
    const at = store.now();
    const { holders } = this.#semaphore;
    const left = holders.flatMap(({ expiresAt }) => (expiresAt === null ? [] : expiresAt - at));
    const held = holders.map(({ acquiredAt }) => at - acquiredAt);
    const span = spanOf(Math.max(0, ...held, ...left));
    setText(this.#past, `${shortSpan(span)} ago`);
    setText(this.#future, `in ${shortSpan(span)}`);
    for (const part of this.#parts) part.tick(at, span);
  }
}

class HolderView {
  #holder;
  #label = h('span', { class: 'label' });
  #client = h('span', { class: 'client' });
  #weight = h('span', { class: 'tag' });
  #held = h('span', { class: 'held' });
  #left = h('span', { class: 'left' });
  #since = h('span', { class: 'since' });
  #token = h('span', { class: 'token' });
  #past = h('span', { class: 'past' });
  #future = h('span', { class: 'future' });
  #button = h('button', { type: 'button', class: 'act is-danger' }, 'Release…');

  constructor(onRelease) {
    this.#button.addEventListener('click', () => onRelease(this.#holder));
    this.element = h(
      'li',
      { class: 'holder' },
      h('div', { class: 'who-holds' }, this.#label, this.#weight, this.#client, this.#token),
      h('div', { class: 'line', 'aria-hidden': 'true' }, this.#past, this.#future),
      h('div', { class: 'times' }, this.#held, ' ', this.#left, ' ', this.#since),
      this.#button,
    );
  }

  update(holder) {
    this.#holder = holder;
    const { label, client, weight, fencingToken, acquiredAt, expiresAt } = holder;
    setText(this.#label, nameOf(holder));
    this.#label.classList.toggle('is-id', label === undefined);
    setText(this.#client, client);
    setText(this.#weight, weight === 1 ? '' : `weight ${count(weight)}`);
    setText(this.#token, `token ${fencingToken}`);
    setText(this.#since, `since ${moment(acquiredAt)}`);
    setAttribute(this.element, 'title', fullName(holder));
    setAttribute(this.#button, 'aria-label', `Release the permit of ${nameOf(holder)}…`);
    this.#future.classList.toggle('is-endless', expiresAt === null);
  }

  tick(at, span) {
    const { acquiredAt, expiresAt } = this.#holder;
    const held = Math.max(0, at - acquiredAt);
    const left = expiresAt === null ? Infinity : Math.max(0, expiresAt - at);
    setText(this.#held, `held ${age(held)}`);
    setText(this.#left, leftText(left));
    this.#left.classList.toggle('is-bad', left === 0);
    setShare(this.#past, '--length', HALF * Math.min(1, held / span));
    setShare(this.#future, '--length', HALF * Math.min(1, left / span));
  }
}

function leftText(ms) {
  if (ms === Infinity) return 'no end';
  return ms === 0 ? 'lease over' : `lease ${age(ms)}`;
}

function spanOf(ms) {
  return SPANS.find((span) => span >= ms) ?? Math.ceil(ms / 86_400_000) * 86_400_000;
}

/** 2 m, not 2 m 00 s. */
function shortSpan(ms) {
  return duration(ms)
    .replace(/\.0 s/, ' s')
    .replace(/ 00 [smh]$/, '');
}

/** Who holds or waits. */
export function nameOf({ id, label }) {
  return label === undefined ? id : printable(label);
}

/** A label may be cut where it stands. */
export function fullName(who) {
  return who.label === undefined ? who.id : `${nameOf(who)} (${who.id})`;
}

export function moreText(all, shown) {
  return all > shown ? `And ${count(all - shown)} more.` : '';
}
