import { store } from './clock.js';
import { h, setAttribute, setText } from './dom.js';
import { age, count, printable } from './format.js';
import { addressOfKey } from './list-address.js';
import { meter } from './meter.js';

/** One line of the overview. */
export class RowView {
  #link = h('a', { class: 'key' });
  #meter = meter();
  #waiting = cell('waiting');
  #oldest = cell('oldest');
  #rejected = cell('rejected');
  #lost = cell('lost');
  #state = null;

  constructor() {
    this.element = h(
      'div',
      { role: 'row', class: 'row' },
      h('div', { role: 'cell', class: 'cell is-name' }, this.#link),
      h('div', { role: 'cell', class: 'cell is-used' }, this.#meter.element),
      this.#waiting,
      this.#oldest,
      this.#rejected,
      this.#lost,
    );
  }

  /** @param row undefined: it is asked for */
  show(row) {
    this.element.classList.toggle('is-loading', row === undefined);
    const { key = '', state = null, rejected = null, lost = null } = row ?? {};
    const name = printable(key);
    setText(this.#link, name);
    setAttribute(this.#link, 'title', name);
    setAttribute(this.#link, 'href', row ? addressOfKey(key) : null);
    this.#meter.show(state?.held ?? 0, state?.permits ?? null, state?.waiting ?? 0);
    figure(this.#waiting, state?.waiting ?? null, 'is-waiting');
    figure(this.#rejected, rejected, 'is-bad');
    figure(this.#lost, lost, 'is-bad');
    this.#state = state;
    this.#oldest.classList.toggle('is-nought', state === null);
    this.tick();
  }

  tick() {
    setText(this.#oldest, this.#state === null ? '–' : this.#oldestText());
  }

  #oldestText() {
    const { oldestWaitSince } = this.#state;
    return oldestWaitSince === null ? '' : age(store.now() - oldestWaitSince);
  }
}

function cell(name) {
  return h('div', { role: 'cell', class: `cell is-number is-${name}` });
}

/** A nought says nothing: it stays pale. @param number null: not known yet */
function figure(element, number, mark) {
  setText(element, number === null ? '–' : count(number));
  element.classList.toggle('is-nought', !number);
  element.classList.toggle(mark, number > 0);
}
