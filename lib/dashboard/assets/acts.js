import { confirm, toast } from './dialog.js';
import { h } from './dom.js';
import { plural, printable } from './format.js';
import { nameOf } from './holders.js';
import { problemOf } from './stream.js';

/** What an operator may do to one semaphore. Each act is confirmed first. */
export class Acts {
  #key;
  #dialog;

  constructor(key) {
    this.#key = key;
  }

  close() {
    this.#dialog?.close();
  }

  release(holder) {
    const { id, client, weight, fencingToken } = holder;
    const name = nameOf(holder);
    this.#ask({
      title: 'Release this permit by force?',
      text: [
        `${name} (${client}, token ${fencingToken}) loses its permit at once, and the next waiter may get it.`,
        'Its signal is aborted, but work that does not listen to the signal goes on.',
      ],
      confirm: 'Release by force',
      isDangerous: true,
      act: () => this.#post('release', { id }),
      done: `The permit of ${name} was released (weight ${weight}).`,
    });
  }

  drop(waiter) {
    const { id, client } = waiter;
    const name = nameOf(waiter);
    this.#ask({
      title: 'Drop this waiter?',
      text: [`${name} (${client}) leaves the queue: its call fails with PermitLostError.`],
      confirm: 'Drop from the queue',
      isDangerous: true,
      act: () => this.#post('drop', { id }),
      done: `${name} was dropped from the queue.`,
    });
  }

  setLimit({ permits, pinned }) {
    const input = h('input', {
      type: 'number',
      id: 'permits',
      min: 1,
      step: 1,
      max: Number.MAX_SAFE_INTEGER,
      required: '',
      value: permits || 1,
    });
    this.#ask({
      title: 'Change the limit',
      text: [
        'The limit that you set holds in all processes, whatever they pass as permits, until it is cleared. ' +
          'Permits that are held stay held.',
      ],
      fields: h('p', { class: 'field' }, h('label', { for: 'permits' }, 'Permits'), input),
      confirm: 'Set the limit',
      act: () => this.#post('limit', { permits: input.valueAsNumber }),
      done: () => `The limit is ${plural(input.valueAsNumber, 'permit')} now.`,
      other: pinned ? this.#clearing() : undefined,
    });
  }

  #clearing() {
    return {
      confirm: 'Clear it',
      hint: 'Clearing lets what callers pass hold again, from the next acquisition on.',
      act: () => this.#post('limit', { permits: null }),
      done: 'The limit was cleared: what callers pass holds again.',
    };
  }

  #ask(question) {
    this.#dialog = confirm({ ...question, subject: printable(this.#key) }, (text) => toast(text));
  }

  /** @throws with what the server answered */
  async #post(act, body) {
    const response = await fetch(`api/${act}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-semaphore-dashboard': 'act' },
      body: JSON.stringify({ key: this.#key, ...body }),
    });
    if (!response.ok) throw new Error(await problemOf(response));
  }
}
