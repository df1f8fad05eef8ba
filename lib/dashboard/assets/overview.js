import { h, setAttribute, setShortText, setText } from './dom.js';
import { age, count, plural, printable, shortCount } from './format.js';
import { store } from './clock.js';
import { addressOf, addressOfKey, lastList, readList } from './list-address.js';
import { RowView } from './row.js';
import { WindowedList } from './windowed-list.js';

const SEARCH_DELAY_MS = 200;
/** Rows are asked for in windows of this size, which begin at multiples of the step. */
const WINDOW = 100;
const STEP = 25;

const COLUMNS = [
  { id: 'name', title: 'Semaphore' },
  { id: 'used', title: 'In use', descends: true },
  { id: 'waiting', title: 'Waiting', descends: true },
  { id: 'oldest', title: 'Oldest wait', descends: true },
  { id: 'rejected', title: 'Rejected', note: '5 min', descends: true },
  { id: 'lost', title: 'Lost', note: '5 min', descends: true },
];

/** All semaphores in use. */
export class Overview {
  title = 'Semaphores';
  #stream;
  #list = readList(location.hash, COLUMNS);
  #address = location.hash;
  #totals = new Totals();
  #search = h('input', {
    type: 'search',
    id: 'search',
    placeholder: 'Search keys',
    'aria-label': 'Search keys',
    autocomplete: 'off',
    spellcheck: 'false',
    oninput: () => this.#searchSoon(),
  });
  #sort = h(
    'select',
    { class: 'sort', 'aria-label': 'Sort by', onchange: () => this.#sortBy(this.#sort.value) },
    ...COLUMNS.map(({ id, title }) => h('option', { value: id }, title)),
  );
  #found = h('span', { class: 'found' });
  /** What a search has found is read out once. The figures on the page change by themselves, all the time. */
  #answer = h('span', { class: 'hidden', role: 'status' });
  #partial = h('span', { class: 'partial', title: 'Totals and order are of these' });
  #headings = COLUMNS.map((column) => this.#heading(column));
  #emptyText = h('span');
  #openAnyway = h('a', { hidden: '' });
  #empty = h('p', { class: 'empty', hidden: '' }, this.#emptyText, ' ', this.#openAnyway);
  #table;
  #rows;
  #searchTimer;
  /** Somebody searches, and was not told yet what was found. */
  #isAsked = false;
  #offset = 0;
  #scrollTo = addressOf(this.#list) === lastList.address ? lastList.scrollTop : 0;
  #cameFrom = lastList.key;
  #onKey = (event) => this.#focusSearch(event);

  constructor(stream) {
    this.#stream = stream;
    this.#search.value = this.#list.search;
    this.#rows = new WindowedList({
      createRow: () => new RowView(),
      idOf: ({ key }) => key,
      onRange: (first) => this.#need(first),
    });
    this.#table = h(
      'div',
      { class: 'table', role: 'table', 'aria-label': 'Semaphores in use' },
      h(
        'div',
        { role: 'rowgroup', class: 'head' },
        h('div', { role: 'row', class: 'row', 'aria-rowindex': 1 }, ...this.#headings),
      ),
      this.#rows.element,
    );
    this.#rows.table = this.#table;
    const counts = h('p', { class: 'counts' }, this.#partial, this.#found, this.#answer);
    this.element = h(
      'div',
      {},
      h('h1', { class: 'hidden' }, 'Semaphores'),
      this.#totals.element,
      h('div', { class: 'toolbar' }, this.#search, this.#sort, counts),
      this.#table,
      this.#empty,
    );
    this.#markSort();
  }

  open() {
    document.addEventListener('keydown', this.#onKey);
    this.#rows.open();
    this.#ask();
  }

  close() {
    Object.assign(lastList, { address: addressOf(this.#list), scrollTop: scrollY });
    document.removeEventListener('keydown', this.#onKey);
    // Who comes back at once has a list of the same address, which the search that was left must not change.
    clearTimeout(this.#searchTimer);
    this.#rows.close();
  }

  allow() {}

  show({ overview }) {
    if (overview === undefined) return;
    const { totals, matching, offset, rows, complete, cut } = overview;
    this.#totals.show(totals);
    this.#table.hidden = matching === 0;
    this.#rows.show(matching, offset, rows);
    if (this.#scrollTo > 0) scrollTo(0, this.#scrollTo);
    this.#scrollTo = 0;
    this.#focusLast();
    setText(this.#partial, partialText(totals));
    const found = foundText(matching, totals.keys, complete, cut);
    setText(this.#found, found);
    if (this.#isAsked && complete) this.#tellFound(found);
    this.#empty.hidden = matching > 0;
    setText(this.#emptyText, emptyText(totals.keys, complete));
    this.#offerToOpen(complete ? this.#list.search : '');
  }

  /** Whoever comes back from a semaphore goes on at its row, unless they have moved the focus themselves. */
  #focusLast() {
    if (document.activeElement?.id !== 'main') this.#cameFrom = undefined;
    if (this.#cameFrom !== undefined) this.#rows.focus(this.#cameFrom);
  }

  /** A key that is not in the list may be in use, or have a limit. */
  #offerToOpen(key) {
    this.#openAnyway.hidden = key === '';
    setText(this.#openAnyway, `Open “${printable(key)}”`);
    setAttribute(this.#openAnyway, 'href', addressOfKey(key));
  }

  tick() {
    this.#totals.tick();
    this.#rows.forEachRow((row) => row.tick());
  }

  #heading({ id, title, note }) {
    const button = h('button', { type: 'button', onclick: () => this.#sortBy(id) }, title);
    if (note) button.append(' ', h('small', {}, note));
    return h('div', { role: 'columnheader', class: `cell is-${id}` }, button);
  }

  #markSort() {
    const { sort, descending } = this.#list;
    this.#sort.value = sort;
    COLUMNS.forEach(({ id }, i) => {
      const direction = descending ? 'descending' : 'ascending';
      this.#headings[i].setAttribute('aria-sort', id === sort ? direction : 'none');
    });
  }

  #sortBy(id) {
    const { descends = false } = COLUMNS.find((column) => column.id === id);
    const descending = id === this.#list.sort ? !this.#list.descending : descends;
    this.#change({ sort: id, descending });
    this.#markSort();
  }

  #searchSoon() {
    clearTimeout(this.#searchTimer);
    this.#searchTimer = setTimeout(() => {
      this.#isAsked = true;
      setText(this.#answer, '');
      this.#change({ search: this.#search.value });
    }, SEARCH_DELAY_MS);
  }

  #focusSearch(event) {
    const isTyping = event.target.closest?.('input, select, textarea, dialog');
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#search.focus();
  }

  #change(wish) {
    // Somebody has gone on, of which the page is told next: it must not be taken back.
    if (location.hash !== this.#address) return;
    Object.assign(this.#list, wish);
    history.replaceState(null, '', addressOf(this.#list));
    this.#address = location.hash;
    this.#offset = 0;
    this.#rows.forget();
    this.#ask();
  }

  /** The rows that are visible begin here: they must be inside the window, with some before and after. */
  #need(first) {
    const offset = Math.max(0, Math.floor((first - STEP) / STEP) * STEP);
    if (offset === this.#offset) return;
    this.#offset = offset;
    this.#ask();
  }

  #ask() {
    const { search, sort, descending } = this.#list;
    const order = descending ? 'desc' : 'asc';
    const query = { search, sort, order, offset: this.#offset, limit: WINDOW };
    this.#stream.show(new URLSearchParams(query).toString());
  }

  #tellFound(text) {
    this.#isAsked = false;
    setText(this.#answer, text);
  }
}

function foundText(matching, all, complete, cut) {
  if (!complete) return `${count(matching)} found so far…`;
  const of = matching === all ? plural(all, 'key') : `${count(matching)} of ${plural(all, 'key')}`;
  return cut ? `${of}; there are more, which are not listed` : of;
}

function partialText({ keys, lookedAt }) {
  if (lookedAt === keys) return '';
  return `Figures of ${count(lookedAt)} of ${plural(keys, 'key')} so far`;
}

function emptyText(keys, complete) {
  if (!complete) return 'Looking for semaphores…';
  return keys === 0
    ? 'No semaphore is in use. It appears here as soon as somebody holds a permit or waits for one.'
    : 'No key in the list contains this text.';
}

/** Figures over all keys. */
class Totals {
  #values = {};
  #oldestWaitSince = null;
  element = h('dl', { class: 'tiles' });

  constructor() {
    this.#add('keys', 'Semaphores');
    this.#add('held', 'Permits held');
    this.#add('waiting', 'Waiting');
    this.#add('oldest', 'Oldest wait');
    this.#add('rejected', 'Rejected, 5 min');
    this.#add('lost', 'Lost, 5 min');
  }

  show(totals) {
    for (const id of ['keys', 'held', 'waiting', 'rejected', 'lost']) {
      setShortText(this.#values[id], shortCount(totals[id]), count(totals[id]));
    }
    this.#values.waiting.classList.toggle('is-waiting', totals.waiting > 0);
    this.#values.rejected.classList.toggle('is-bad', totals.rejected > 0);
    this.#values.lost.classList.toggle('is-bad', totals.lost > 0);
    this.#oldestWaitSince = totals.oldestWaitSince;
    this.tick();
  }

  tick() {
    const since = this.#oldestWaitSince;
    setText(this.#values.oldest, since === null ? '–' : age(store.now() - since));
  }

  #add(id, title) {
    this.#values[id] = h('dd', {}, '–');
    this.element.append(h('div', {}, h('dt', {}, title), this.#values[id]));
  }
}
